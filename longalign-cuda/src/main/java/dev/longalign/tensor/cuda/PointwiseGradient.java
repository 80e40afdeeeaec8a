package dev.longalign.tensor.cuda;

import static dev.longalign.tensor.cuda.CudaContext.aligned;
import static dev.longalign.tensor.cuda.CudaContext.items;
import static dev.longalign.tensor.cuda.CudaContext.suffix;
import static dev.longalign.tensor.cuda.CudaContext.wide;

import dev.longalign.tensor.Activation;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;

/** Derivatives of what is done element by element. */
final class PointwiseGradient {
  private final CudaContext context;

  PointwiseGradient(CudaContext context) {
    this.context = context;
  }

  Tensor activation(Tensor x, Activation activation, Tensor dy) {
    if (activation == Activation.NONE) {
      return dy;
    }
    Tensor dx = context.allocateLike(x);
    if (dx.shape().size() > 0) {
      zip("activation_bwd", x, dy, dx).i32(activation.ordinal()).run();
    }
    return dx;
  }

  Tensor clamp(Tensor x, float low, float high, Tensor dy) {
    Tensor dx = context.allocateLike(x);
    if (dx.shape().size() > 0) {
      zip("clamp_bwd", x, dy, dx).f32(low).f32(high).run();
    }
    return dx;
  }

  Tensor pseudoHuber(Tensor x, float c, Tensor dy) {
    Tensor dx = context.allocateLike(x);
    if (dx.shape().size() > 0) {
      zip("pseudoHuber_bwd", x, dy, dx).f32(c).run();
    }
    return dx;
  }

  private Launch zip(String kernel, Tensor x, Tensor dy, Tensor dx) {
    return TrainingPointwiseOps.zip(context, kernel, x, dy, dx);
  }

  Tensor gatedGelu(Tensor x, Tensor dy) {
    Tensor dx = context.allocateLike(x);
    long size = dy.shape().size();
    if (size == 0) {
      return dx;
    }
    int n = dy.dim(-1);
    boolean wide = wide(x.dtype(), n, context.address(x), context.address(dy));
    context
        .launch("gatedGelu_bwd" + suffix(x.dtype()))
        .over(wide ? items(dy) : size)
        .address(context.address(x))
        .address(context.address(dy))
        .address(context.address(dx))
        .i64(size / n)
        .i32(n)
        .flag(wide)
        .run();
    return dx;
  }

  Tensor expand(Tensor scalar, DType dtype, Shape shape) {
    Tensor y = context.allocate(dtype, shape);
    if (shape.size() == 0) {
      return y;
    }
    boolean wide = aligned(context.address(y));
    context
        .launch("expand_fwd" + suffix(dtype))
        .over(wide ? items(y) : shape.size())
        .address(context.address(scalar.cast(DType.F32)))
        .address(context.address(y))
        .i64(shape.size())
        .flag(wide)
        .run();
    return y;
  }

  Tensor upsampleNearest(Tensor dy, int height, int width) {
    int channels = dy.dim(3);
    Tensor dx = context.allocate(dy.dtype(), Shape.of(dy.dim(0), height, width, channels));
    long size = dx.shape().size();
    if (size == 0) {
      return dx;
    }
    boolean wide = wide(dy.dtype(), channels, context.address(dy));
    context
        .launch("upsampleNearest_bwd" + suffix(dy.dtype()))
        .over(wide ? items(dx) : size)
        .address(context.address(dy))
        .address(context.address(dx))
        .i64(size)
        .i32(height)
        .i32(width)
        .i32(channels)
        .i32(dy.dim(1))
        .i32(dy.dim(2))
        .flag(wide)
        .run();
    return dx;
  }
}
