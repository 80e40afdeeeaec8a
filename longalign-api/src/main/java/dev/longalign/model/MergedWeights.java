package dev.longalign.model;

import dev.longalign.nn.Parameter;
import dev.longalign.nn.Uploads;
import dev.longalign.nn.WeightSource;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.List;

/** {@code W + scale * up down}, computed in f32 when a weight is asked for. */
final class MergedWeights implements WeightSource {
  private static final String WEIGHT = ".weight";

  private final WeightSource base;
  private final Lora lora;
  private final float scale;

  MergedWeights(WeightSource base, Lora lora, float scale) {
    this.base = base;
    this.lora = lora;
    this.scale = scale;
  }

  @Override
  public void check(List<Parameter> declared) {
    base.check(declared);
  }

  @Override
  public Tensor load(Backend backend, Parameter parameter) {
    String name = parameter.name();
    Lora.Entry entry =
        name.endsWith(WEIGHT)
            ? lora.entries().get(name.substring(0, name.length() - WEIGHT.length()))
            : null;
    if (entry == null || scale == 0) {
      return base.load(backend, parameter);
    }
    try (TensorScope scope = TensorScope.open()) {
      Shape shape = parameter.shape();
      long out = shape.dim(0);
      long in = shape.size() / out; // of a convolution: times its kernel
      Tensor up = Uploads.f32(backend, entry.up(), Shape.of(out, entry.rank())); // [out, r]
      Tensor down = Uploads.f32(backend, entry.down(), Shape.of(entry.rank(), in)); // [r, in]
      Tensor delta = up.matmul(down, false); // [out, in]
      Tensor weight = base.load(backend, parameter).reshape(out, in); // [out, in]
      float[] coefficients = {1, scale * entry.scale()};
      Tensor merged = Tensor.linearCombination(coefficients, weight, delta); // [out, in]
      return scope.keep(merged.reshape(shape.toArray()));
    }
  }
}
