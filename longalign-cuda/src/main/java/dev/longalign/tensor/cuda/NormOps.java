package dev.longalign.tensor.cuda;

import static dev.longalign.tensor.cuda.CudaContext.suffix;
import static dev.longalign.tensor.cuda.CudaContext.wide;

import dev.longalign.tensor.Activation;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Tensor;

/** Normalisations. */
final class NormOps {
  private static final int ROWS_PER_BLOCK = 4;

  /** {@code WHOLE} of norm.cu: what a thread keeps of a group. */
  private static final int WHOLE = 40;

  /** Of a group: the parameters of more are too much for shared memory. */
  private static final int WHOLE_CHANNELS = 4096;

  /** Floats in which a block adds up. */
  private static final int WHOLE_SUMS = 64;

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
    int pixels = Math.toIntExact(x.shape().size() / x.dim(0) / channels);
    int perGroup = channels / groups;
    int atOnce = channelsAtOnce(x.dtype(), perGroup, context.address(x), context.address(y));
    if (atOnce > 1
        && activation != Activation.GELU
        && perGroup <= WHOLE_CHANNELS
        && (long) pixels * perGroup <= WHOLE * wholeThreads(x.dtype(), atOnce)) {
      wholeGroups(x, groups, gamma, beta, eps, activation, y, pixels, atOnce);
      return y;
    }
    GroupSums sums = GroupSums.of(context, x, groups);
    int pixelsPerBlock = sums.pixelsPerBlock(context);
    context
        .launch("groupNorm_fwd" + suffix(x.dtype()))
        .grid(divideUp(pixels, pixelsPerBlock), x.dim(0), 1)
        .shared((2 * groups + GroupSums.scratch(groups)) * Float.BYTES)
        .address(context.address(x))
        .address(sums.address())
        .address(context.address(gamma))
        .address(context.address(beta))
        .address(context.address(y))
        .i32(pixels)
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

  /** As many channels as can be read together without leaving a group. */
  private static int channelsAtOnce(DType dtype, int perGroup, long... addresses) {
    int atOnce = CudaContext.aligned(addresses) ? 16 / dtype.bytes() : 1;
    while (perGroup % atOnce != 0) {
      atOnce /= 2;
    }
    return atOnce;
  }

  /** The most that norm.cu allows a block that keeps a group. */
  private static int wholeThreads(DType dtype, int atOnce) {
    return dtype == DType.F32 || atOnce == 2 ? 512 : 1024;
  }

  private void wholeGroups(
      Tensor x,
      int groups,
      Tensor gamma,
      Tensor beta,
      float eps,
      Activation activation,
      Tensor y,
      int pixels,
      int atOnce) {
    int channels = x.dim(-1);
    int perGroup = channels / groups;
    int warps = divideUp(pixels * perGroup / atOnce, 32);
    context
        .launch("groupNormWhole_fwd" + suffix(x.dtype()) + "_" + atOnce)
        .grid(groups, x.dim(0), 1)
        .threads(Math.min(wholeThreads(x.dtype(), atOnce), 32 * warps))
        .shared((WHOLE_SUMS + 2 * divideUp(perGroup, 4) * 4) * Float.BYTES)
        .address(context.address(x))
        .address(context.address(gamma))
        .address(context.address(beta))
        .address(context.address(y))
        .i32(pixels)
        .i32(channels)
        .i32(groups)
        .f32(eps)
        .i32(activation.ordinal())
        .run();
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
