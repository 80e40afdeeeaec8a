package dev.longalign.tensor.cuda;

import static dev.longalign.tensor.cuda.CudaContext.aligned;
import static dev.longalign.tensor.cuda.CudaContext.items;
import static dev.longalign.tensor.cuda.CudaContext.suffix;

import dev.longalign.tensor.Dropout;
import dev.longalign.tensor.Tensor;

/** What training does element by element. */
final class TrainingPointwiseOps {
  private final CudaContext context;

  TrainingPointwiseOps(CudaContext context) {
    this.context = context;
  }

  Tensor multiply(Tensor a, Tensor b) {
    Tensor y = context.allocateLike(a);
    if (y.shape().size() > 0) {
      zip(context, "multiply_fwd", a, b, y).run();
    }
    return y;
  }

  Tensor dropout(Tensor x, float p, long key) {
    Tensor y = context.allocateLike(x);
    if (y.shape().size() > 0) {
      map("dropout_fwd", x, y)
          .i32((int) key)
          .i32((int) (key >>> Integer.SIZE))
          .i32(Dropout.threshold(p))
          .f32(1 / (1 - p))
          .run();
    }
    return y;
  }

  Tensor pseudoHuber(Tensor x, float c) {
    Tensor y = context.allocateLike(x);
    if (y.shape().size() > 0) {
      map("pseudoHuber_fwd", x, y).f32(c).run();
    }
    return y;
  }

  Tensor scaleExp(Tensor x, Tensor logScale) {
    Tensor y = context.allocateLike(x);
    if (y.shape().size() > 0) {
      map("scaleExp_fwd", x, y).address(context.address(logScale)).run();
    }
    return y;
  }

  private Launch map(String kernel, Tensor x, Tensor y) {
    boolean wide = aligned(context.address(x));
    return context
        .launch(kernel + suffix(x.dtype()))
        .over(wide ? items(x) : x.shape().size())
        .address(context.address(x))
        .address(context.address(y))
        .i64(x.shape().size())
        .flag(wide);
  }

  /** Begins a launch on two tensors of one shape and type; y is new. */
  static Launch zip(CudaContext context, String kernel, Tensor a, Tensor b, Tensor y) {
    boolean wide = aligned(context.address(a), context.address(b));
    return context
        .launch(kernel + suffix(a.dtype()))
        .over(wide ? items(a) : a.shape().size())
        .address(context.address(a))
        .address(context.address(b))
        .address(context.address(y))
        .i64(a.shape().size())
        .flag(wide);
  }
}
