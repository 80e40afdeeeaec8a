package dev.longalign.tensor.cuda;

import static dev.longalign.tensor.cuda.CudaContext.suffix;
import static dev.longalign.tensor.cuda.CudaContext.wide;

import dev.longalign.tensor.Activation;
import dev.longalign.tensor.Tensor;

/** Normalisations. */
final class NormOps {
  private static final int THREADS = 256;
  private static final int MAX_CHUNKS = 64;

  /** Of groupNorm_fwd on a multiprocessor. */
  private static final int BLOCKS = 4;

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
    int batch = x.dim(0);
    int channels = x.dim(-1);
    int pixels = Math.toIntExact(x.shape().size() / batch / channels);
    long from = context.address(x);
    boolean wide = wide(x.dtype(), channels, from);
    int vector = wide ? 16 / x.dtype().bytes() : 1;

    int multiprocessors = context.device().multiprocessors();
    int sumPixels =
        Math.max(8, divideUp(pixels, Math.min(MAX_CHUNKS, divideUp(2 * multiprocessors, batch))));
    int chunks = divideUp(pixels, sumPixels);
    long partial = context.memory().allocate(2L * Float.BYTES * batch * chunks * groups);
    context
        .launch("groupNormSums_fwd" + suffix(x.dtype()))
        .grid(chunks, batch, 1)
        .threads(THREADS)
        .shared(2 * (vector * THREADS + channels) * Float.BYTES)
        .address(from)
        .address(partial)
        .i32(pixels)
        .i32(channels)
        .i32(groups)
        .i32(sumPixels)
        .flag(wide)
        .run();
    // Every block adds up all partial sums: as many blocks as run at once, no more.
    int pixelsPerBlock = divideUp(pixels, divideUp(BLOCKS * multiprocessors, batch));
    context
        .launch("groupNorm_fwd" + suffix(x.dtype()))
        .grid(divideUp(pixels, pixelsPerBlock), batch, 1)
        .threads(THREADS)
        .shared(2 * (groups + Math.max(groups, THREADS)) * Float.BYTES)
        .address(from)
        .address(partial)
        .address(context.address(gamma))
        .address(context.address(beta))
        .address(context.address(y))
        .i32(pixels)
        .i32(channels)
        .i32(groups)
        .i32(chunks)
        .f32(eps)
        .i32(activation.ordinal())
        .i32(pixelsPerBlock)
        .flag(wide)
        .run();
    context.memory().free(partial);
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
