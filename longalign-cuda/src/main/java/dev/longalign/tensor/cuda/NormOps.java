package dev.longalign.tensor.cuda;

import static dev.longalign.tensor.cuda.CudaContext.suffix;
import static dev.longalign.tensor.cuda.CudaContext.wide;

import dev.longalign.tensor.Activation;
import dev.longalign.tensor.Tensor;

/** Normalisations. */
final class NormOps {
  private static final int ROWS_PER_BLOCK = 4;

  private final CudaContext context;

  NormOps(CudaContext context) {
    this.context = context;
  }

  Tensor groupNorm(
      Tensor x, int groups, Tensor gamma, Tensor beta, float eps, Activation activation) {
    Tensor y = context.allocateLike(x);
    if (y.shape().size() == 0) {
      return y;
    }
    int channels = x.dim(-1);
    GroupSums sums = GroupSums.of(context, x, groups);
    int pixelsPerBlock = sums.pixelsPerBlock(context);
    context
        .launch("groupNorm_fwd" + suffix(x.dtype()))
        .grid(divideUp(sums.pixels(), pixelsPerBlock), x.dim(0), 1)
        .shared(2 * groups * Float.BYTES)
        .address(context.address(x))
        .address(sums.address())
        .address(context.address(gamma))
        .address(context.address(beta))
        .address(context.address(y))
        .i32(sums.pixels())
        .i32(channels)
        .i32(groups)
        .i32(sums.chunks())
        .f32(eps)
        .i32(activation.ordinal())
        .i32(pixelsPerBlock)
        .flag(wide(x.dtype(), channels, context.address(x)))
        .run();
    context.memory().free(sums.address());
    return y;
  }

  Tensor layerNorm(Tensor x, Tensor gamma, Tensor beta, float eps) {
    Tensor y = context.allocateLike(x);
    if (y.shape().size() == 0) {
      return y;
    }
    int channels = x.dim(-1);
    int rows = Math.toIntExact(x.shape().size() / channels);
    long from = context.address(x);
    context
        .launch("layerNorm_fwd" + suffix(x.dtype()))
        .grid(divideUp(rows, ROWS_PER_BLOCK), 1, 1)
        .threads(32 * ROWS_PER_BLOCK)
        .address(from)
        .address(context.address(gamma))
        .address(context.address(beta))
        .address(context.address(y))
        .i32(rows)
        .i32(channels)
        .f32(eps)
        .flag(wide(x.dtype(), channels, from))
        .run();
    return y;
  }

  private static int divideUp(int x, int by) {
    return (x + by - 1) / by;
  }
}
