package dev.longalign.tensor.cpu;

import static dev.longalign.tensor.cpu.CpuContext.address;
import static org.bytedeco.dnnl.global.dnnl.*;

import dev.longalign.tensor.Activation;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import java.util.Arrays;
import java.util.List;

/** Derivatives of pointwise operations and of operations that move values. */
final class PointwiseGradient {
  private final CpuContext context;
  private final PointwiseOps pointwise;

  PointwiseGradient(CpuContext context, PointwiseOps pointwise) {
    this.context = context;
    this.pointwise = pointwise;
  }

  Tensor activation(Tensor x, Activation activation, Tensor dy) {
    return switch (activation) {
      case NONE -> dy;
      default -> eltwise(x, activation, dy);
    };
  }

  private Tensor eltwise(Tensor x, Activation activation, Tensor dy) {
    Tensor dx = context.allocateLike(x);
    long size = x.shape().size();
    if (size > 0) {
      activation(context.cache(), activation, size, x.dtype())
          .execute(context.memory(), address(x), address(dy), address(dx));
    }
    return dx;
  }

  /** Addresses: x, dy, dx. */
  static Primitive activation(PrimitiveCache cache, Activation activation, long size, DType dtype) {
    return switch (activation) {
      case NONE -> throw new IllegalArgumentException("nothing to derive");
      case SILU -> eltwise(cache, dnnl_eltwise_swish, 1, size, dtype);
      case GELU -> eltwise(cache, dnnl_eltwise_gelu_erf, 0, size, dtype);
    };
  }

  private static Primitive eltwise(
      PrimitiveCache cache, int kind, float alpha, long size, DType dtype) {
    return cache.get(
        List.of("eltwise gradient", kind, size, dtype),
        () -> {
          try (Layout data = Layout.dense(dtype, size);
              Attributes attributes = new Attributes()) {
            return Primitive.create(
                "gradient of a pointwise operation",
                (pd, attr) ->
                    dnnl_eltwise_backward_primitive_desc_create(
                        pd,
                        OneDnn.ENGINE,
                        kind,
                        data.descriptor(),
                        data.descriptor(),
                        data.descriptor(),
                        alpha,
                        0,
                        null,
                        attr.build()),
                attributes,
                new int[] {DNNL_ARG_SRC_0, DNNL_ARG_DIFF_DST_0, DNNL_ARG_DIFF_SRC_0},
                data,
                data,
                data);
          }
        });
  }

  Tensor gatedGelu(Tensor x, Tensor dy) {
    Shape shape = dy.shape();
    long n = shape.dim(-1);
    Tensor hidden = pointwise.half(x, shape, 0);
    Tensor gate = pointwise.half(x, shape, n);
    Tensor dGate = activation(gate, Activation.GELU, CpuTraining.product(context, dy, hidden));
    Tensor dHidden = CpuTraining.product(context, dy, pointwise.activation(gate, Activation.GELU));
    return Tensor.concat(-1, dHidden, dGate);
  }

  /** In Java like the operation itself: pictures are clamped, once each. */
  Tensor clamp(Tensor x, float low, float high, Tensor dy) {
    float[] values = x.toFloats();
    float[] dx = dy.toFloats();
    for (int i = 0; i < dx.length; i++) {
      if (values[i] < low || values[i] > high) {
        dx[i] = 0;
      }
    }
    return CpuTraining.of(context, dx, x.dtype(), x.shape());
  }

  Tensor pseudoHuber(Tensor x, float c, Tensor dy) {
    float[] values = x.toFloats();
    float[] dx = dy.toFloats();
    for (int i = 0; i < dx.length; i++) {
      double v = values[i];
      dx[i] = (float) (dx[i] * v / Math.sqrt(v * v + (double) c * c));
    }
    return CpuTraining.of(context, dx, x.dtype(), x.shape());
  }

  /** {@code (dy - y (y . dy)) / |x|}. */
  Tensor normalizeRows(Tensor x, Tensor dy) {
    float[] values = x.toFloats();
    float[] dx = dy.toFloats();
    int width = x.dim(-1);
    for (int row = 0; row < dx.length; row += width) {
      double squares = CpuTraining.dot(values, values, row, width);
      double along = CpuTraining.dot(values, dx, row, width) / squares;
      double norm = Math.sqrt(squares);
      for (int i = row; i < row + width; i++) {
        dx[i] = (float) ((dx[i] - values[i] * along) / norm);
      }
    }
    return CpuTraining.of(context, dx, x.dtype(), x.shape());
  }

  Tensor scaleRows(Tensor x, Tensor factors) {
    float[] values = x.toFloats();
    float[] scale = factors.toFloats();
    int width = x.dim(-1);
    for (int i = 0; i < values.length; i++) {
      values[i] *= scale[i / width];
    }
    return CpuTraining.of(context, values, x.dtype(), x.shape());
  }

  Tensor expand(Tensor scalar, DType dtype, Shape shape) {
    float[] values = new float[Math.toIntExact(shape.size())];
    Arrays.fill(values, scalar.toFloats()[0]);
    return CpuTraining.of(context, values, dtype, shape);
  }

  Tensor upsampleNearest(Tensor dy, int height, int width) {
    Shape to = Shape.of(dy.dim(0), height, width, dy.dim(3));
    if (to.size() == 0 || dy.shape().size() == 0) {
      return context.backend().zeros(dy.dtype(), to);
    }
    boolean doubled = dy.dim(1) == 2 * height && dy.dim(2) == 2 * width;
    return doubled ? halved(dy, to) : gathered(dy, to);
  }

  private Tensor halved(Tensor dy, Shape to) {
    Shape from = dy.shape();
    DType dtype = dy.dtype();
    Tensor dx = context.allocate(dtype, to);
    Primitive primitive =
        context
            .cache()
            .get(
                List.of("upsample gradient", to, dtype),
                () -> {
                  try (Layout source =
                          Layout.nhwc(dtype, to.dim(0), to.dim(3), to.dim(1), to.dim(2));
                      Layout target =
                          Layout.nhwc(dtype, from.dim(0), from.dim(3), from.dim(1), from.dim(2));
                      Attributes attributes = new Attributes()) {
                    return Primitive.create(
                        "gradient of upsampling",
                        (pd, attr) ->
                            dnnl_resampling_backward_primitive_desc_create(
                                pd,
                                OneDnn.ENGINE,
                                dnnl_resampling_nearest,
                                new float[] {2, 2},
                                source.descriptor(),
                                target.descriptor(),
                                null,
                                attr.build()),
                        attributes,
                        new int[] {DNNL_ARG_DIFF_DST_0, DNNL_ARG_DIFF_SRC_0},
                        target,
                        source);
                  }
                });
    primitive.execute(context.memory(), address(dy), address(dx));
    return dx;
  }

  /** For odd sizes, which no model of 64-pixel multiples meets: in Java. */
  private Tensor gathered(Tensor dy, Shape to) {
    int channels = dy.dim(3);
    int inHeight = to.intDim(1);
    int inWidth = to.intDim(2);
    float[] from = dy.toFloats();
    float[] sums = new float[Math.toIntExact(to.size())];
    for (int b = 0, i = 0; b < dy.dim(0); b++) {
      for (int row = 0; row < dy.dim(1); row++) {
        int toRow = b * inHeight + ShapeOps.source(row, inHeight, dy.dim(1));
        for (int column = 0; column < dy.dim(2); column++) {
          int at = (toRow * inWidth + ShapeOps.source(column, inWidth, dy.dim(2))) * channels;
          for (int c = 0; c < channels; c++) {
            sums[at + c] += from[i++];
          }
        }
      }
    }
    return CpuTraining.of(context, sums, dy.dtype(), to);
  }
}
