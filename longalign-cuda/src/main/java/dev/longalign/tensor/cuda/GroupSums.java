package dev.longalign.tensor.cuda;

import static dev.longalign.tensor.cuda.CudaContext.suffix;
import static dev.longalign.tensor.cuda.CudaContext.wide;

import dev.longalign.tensor.Tensor;

/**
 * The sums of which GroupNorm's means and variances are made, per image, chunk of pixels and group.
 *
 * @param address of f32 [batch, chunks, groups, 2], which the caller frees
 * @param pixels of an image
 */
record GroupSums(long address, int batch, int pixels, int chunks, int chunkPixels) {
  private static final int MAX_CHUNKS = 64;
  private static final int MIN_PIXELS = 8;

  static GroupSums of(CudaContext context, Tensor x, int groups) {
    int batch = x.dim(0);
    int channels = x.dim(-1);
    int pixels = Math.toIntExact(x.shape().size() / batch / channels);
    long from = context.address(x);
    boolean wide = wide(x.dtype(), channels, from);
    int vector = wide ? 16 / x.dtype().bytes() : 1;
    int wanted = divideUp(2 * context.device().multiprocessors(), batch);
    int chunkPixels = Math.max(MIN_PIXELS, divideUp(pixels, Math.min(MAX_CHUNKS, wanted)));
    int chunks = divideUp(pixels, chunkPixels);
    long address = context.memory().allocate(2L * Float.BYTES * batch * chunks * groups);
    context
        .launch("groupNormSums_fwd" + suffix(x.dtype()))
        .grid(chunks, batch, 1)
        .shared(2 * (vector * Launch.THREADS + channels) * Float.BYTES)
        .address(from)
        .address(address)
        .i32(pixels)
        .i32(channels)
        .i32(groups)
        .i32(chunkPixels)
        .flag(wide)
        .run();
    return new GroupSums(address, batch, pixels, chunks, chunkPixels);
  }

  /** For a kernel that goes over the image: about eight blocks for every multiprocessor. */
  int pixelsPerBlock(CudaContext context) {
    return divideUp(pixels, divideUp(8 * context.device().multiprocessors(), batch));
  }

  private static int divideUp(int x, int by) {
    return (x + by - 1) / by;
  }
}
