package dev.longalign.tensor.cpu;

import static dev.longalign.tensor.cpu.CpuContext.address;
import static org.bytedeco.dnnl.global.dnnl.*;

import dev.longalign.tensor.Activation;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.Arrays;
import java.util.List;

/** Pointwise operations. */
final class PointwiseOps {
  private final CpuContext context;

  PointwiseOps(CpuContext context) {
    this.context = context;
  }

  Tensor activation(Tensor x, Activation activation) {
    return switch (activation) {
      case NONE -> x;
      case SILU -> eltwise(x, dnnl_eltwise_swish, 1, 0);
      case GELU -> eltwise(x, dnnl_eltwise_gelu_erf, 0, 0);
    };
  }

  /**
   * In Java, whose min and max keep NaN where oneDNN's clip turns it into a bound; pictures are
   * clamped, once each.
   */
  Tensor clamp(Tensor x, float low, float high) {
    float[] values = x.toFloats();
    for (int i = 0; i < values.length; i++) {
      values[i] = Math.max(low, Math.min(high, values[i]));
    }
    Tensor y = context.allocateLike(x);
    try (TensorScope scope = TensorScope.open()) {
      context.convert(Tensor.of(x.backend(), x.shape(), values), x.dtype(), address(y));
    }
    return y;
  }

  Tensor eltwise(Tensor x, int kind, float alpha, float beta) {
    Tensor y = context.allocateLike(x);
    long size = x.shape().size();
    if (size == 0) {
      return y;
    }
    DType dtype = x.dtype();
    Primitive primitive =
        context
            .cache()
            .get(
                List.of("eltwise", kind, alpha, beta, size, dtype),
                () -> {
                  try (Layout data = Layout.dense(dtype, size);
                      Attributes attributes = new Attributes()) {
                    return Primitive.create(
                        "pointwise operation",
                        (pd, attr) ->
                            dnnl_eltwise_forward_primitive_desc_create(
                                pd,
                                OneDnn.ENGINE,
                                dnnl_forward_inference,
                                kind,
                                data.descriptor(),
                                data.descriptor(),
                                alpha,
                                beta,
                                attr.build()),
                        attributes,
                        new int[] {DNNL_ARG_SRC_0, DNNL_ARG_DST},
                        data,
                        data);
                  }
                });
    primitive.execute(context.memory(), address(x), address(y));
    return y;
  }

  Tensor gatedGelu(Tensor x) {
    long n = x.shape().dim(-1) / 2;
    Shape shape = x.shape().with(-1, n);
    Tensor y = context.allocate(x.dtype(), shape);
    try (TensorScope scope = TensorScope.open()) {
      Tensor hidden = half(x, shape, 0);
      Tensor gate = eltwise(half(x, shape, n), dnnl_eltwise_gelu_erf, 0, 0);
      binary(dnnl_binary_mul, hidden, gate, y, false);
    }
    return y;
  }

  Tensor half(Tensor x, Shape shape, long from) {
    Tensor half = context.allocate(x.dtype(), shape);
    long n = shape.dim(-1);
    long rows = n == 0 ? 0 : shape.size() / n;
    if (rows > 0) {
      Primitive copy =
          context
              .cache()
              .get(
                  List.of("half", rows, n, x.dtype()),
                  () -> {
                    try (Layout source =
                            Layout.strided(x.dtype(), new long[] {rows, n}, new long[] {2 * n, 1});
                        Layout target = Layout.dense(x.dtype(), rows, n)) {
                      return PrimitiveCache.reorder(source, target);
                    }
                  });
      copy.execute(context.memory(), address(x) + from * x.dtype().bytes(), address(half));
    }
    return half;
  }

  Tensor linearCombination(float[] coefficients, Tensor... xs) {
    Tensor y = context.allocateLike(xs[0]);
    if (xs.length == 1) {
      binary(dnnl_binary_mul, xs[0], null, y, true, coefficients[0]);
      return y;
    }
    boolean plain = xs.length == 2 && coefficients[0] == 1 && coefficients[1] == 1;
    if (plain) {
      binary(dnnl_binary_add, xs[0], xs[1], y, false);
      return y;
    }
    if (xs.length > 2 && xs[0].dtype() != DType.F32) { // partial sums stay in f32
      try (TensorScope scope = TensorScope.open()) {
        Tensor[] wide = Arrays.stream(xs).map(x -> x.cast(DType.F32)).toArray(Tensor[]::new);
        context.convert(linearCombination(coefficients, wide), xs[0].dtype(), address(y));
      }
      return y;
    }
    Tensor sum = xs[0];
    float factor = coefficients[0];
    for (int i = 1; i < xs.length; i++) {
      binary(dnnl_binary_add, sum, xs[i], y, true, factor, coefficients[i]);
      sum = y;
      factor = 1;
    }
    return y;
  }

  /** {@code y = (factors[0] a) op (factors[1] b)}. A null b stands for the number 1; b may be y. */
  private void binary(int kind, Tensor a, Tensor b, Tensor y, boolean scaled, float... factors) {
    long size = y.shape().size();
    if (size == 0) {
      return;
    }
    DType dtype = a.dtype();
    long bSize = b == null ? 1 : size;
    Primitive primitive =
        context
            .cache()
            .get(
                List.of("binary", kind, size, bSize, dtype, scaled),
                () -> {
                  try (Layout data = Layout.dense(dtype, size);
                      Layout second = Layout.dense(b == null ? DType.F32 : dtype, bSize);
                      Layout scalar = Layout.dense(DType.F32, 1);
                      Attributes attributes = new Attributes()) {
                    if (scaled && b != null) {
                      attributes.runtimeScale(DNNL_ARG_SRC_0, scalar);
                      attributes.runtimeScale(DNNL_ARG_SRC_1, scalar);
                    }
                    return Primitive.create(
                        "binary operation",
                        (pd, attr) ->
                            dnnl_binary_primitive_desc_create(
                                pd,
                                OneDnn.ENGINE,
                                kind,
                                data.descriptor(),
                                second.descriptor(),
                                data.descriptor(),
                                attr.build()),
                        attributes,
                        new int[] {DNNL_ARG_SRC_0, DNNL_ARG_SRC_1, DNNL_ARG_DST},
                        data,
                        second,
                        data);
                  }
                });
    if (!scaled) {
      primitive.execute(context.memory(), address(a), address(b), address(y));
      return;
    }
    long numbers = context.memory().allocate(8);
    try {
      HostMemory.write(numbers, factors);
      if (b == null) {
        primitive.execute(context.memory(), address(a), numbers, address(y));
      } else {
        primitive.execute(
            context.memory(), address(a), address(b), address(y), numbers, numbers + 4);
      }
    } finally {
      context.memory().free(numbers);
    }
  }
}
