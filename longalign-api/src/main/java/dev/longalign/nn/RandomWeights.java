package dev.longalign.nn;

import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.List;

/**
 * Reproducible random parameters of any model at the scale of torch's default initialisation, made
 * one by one: for benchmarks and tests at full size without a file. Weights and biases are uniform
 * in {@code ±1/sqrt(fanIn)}, norms are the identity. A parameter depends on the seed and on its
 * name only.
 */
public final class RandomWeights implements WeightSource {
  private final long seed;

  public RandomWeights(long seed) {
    this.seed = seed;
  }

  /** Accepts everything. */
  @Override
  public void check(List<Parameter> declared) {}

  @Override
  public Tensor load(Backend backend, Parameter parameter) {
    int size = Math.toIntExact(parameter.shape().size());
    ByteBuffer bytes =
        ByteBuffer.allocateDirect(Math.multiplyExact(4, size)).order(ByteOrder.LITTLE_ENDIAN);
    fill(bytes.asFloatBuffer(), parameter);
    return backend.upload(bytes, DType.F32, parameter.shape());
  }

  private void fill(FloatBuffer values, Parameter parameter) {
    if (parameter.fanIn() == 0) {
      float constant = parameter.name().endsWith(".weight") ? 1 : 0;
      while (values.hasRemaining()) {
        values.put(constant);
      }
      return;
    }
    float scale = (float) (1 / Math.sqrt(parameter.fanIn()));
    long state = seed * 0x9e3779b97f4a7c15L + parameter.name().hashCode();
    while (values.hasRemaining()) {
      state += 0x9e3779b97f4a7c15L; // splitmix64 (Steele et al. 2014)
      long z = (state ^ (state >>> 30)) * 0xbf58476d1ce4e5b9L;
      z = (z ^ (z >>> 27)) * 0x94d049bb133111ebL;
      values.put(((z >> 40) * 0x1p-23f) * scale); // the top 24 bits, signed: [-1, 1)
    }
  }
}
