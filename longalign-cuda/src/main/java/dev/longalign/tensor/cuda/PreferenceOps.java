package dev.longalign.tensor.cuda;

import static dev.longalign.tensor.cuda.CudaContext.suffix;
import static dev.longalign.tensor.cuda.CudaContext.wide;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.PreferenceGradient;
import dev.longalign.tensor.ReweightedTexts;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;

/** What texts have in common, and the gradient of scores. */
final class PreferenceOps {
  private static final int THREADS = 256;
  private static final int WARPS = THREADS / 32;
  private static final int ROWS_PER_BLOCK = 4;

  /** Up to so many texts every block sums all of them: one launch, and they are in the L2 cache. */
  private static final int FEW = 64;

  private static final int MAX_CHUNKS = 64;

  private final CudaContext context;

  PreferenceOps(CudaContext context) {
    this.context = context;
  }

  ReweightedTexts reweight(Tensor texts, Tensor direction, float omega) {
    int rows = texts.dim(0);
    int width = texts.dim(1);
    int shared = Math.multiplyExact(WARPS + width, Float.BYTES);
    if (shared > context.device().sharedMemory()) {
      throw new LongAlignException(
          "reweight: expected features of at most "
              + (context.device().sharedMemory() / Float.BYTES - WARPS)
              + " numbers on "
              + context.device().name()
              + ", found "
              + width);
    }
    boolean known = direction != null;
    Tensor v = known ? direction : context.allocate(DType.F32, Shape.of(width));
    Tensor eta = context.allocate(DType.F32, Shape.of(rows));
    Tensor y = context.allocateLike(texts);
    // The chunks depend on the shape alone, and so do the results.
    int chunkRows = Math.max(FEW, divideUp(rows, MAX_CHUNKS));
    int chunks = known || rows <= FEW ? 0 : divideUp(rows, chunkRows);
    long partial = chunks == 0 ? 0 : sums(texts, chunks, chunkRows);
    long from = context.address(texts);
    int blocks = Math.min(divideUp(rows, WARPS), 4 * context.device().multiprocessors());
    context
        .launch("reweight_fwd" + suffix(texts.dtype()))
        .grid(blocks, 1, 1)
        .threads(THREADS)
        .shared(shared)
        .address(from)
        .address(partial)
        .i32(chunks)
        .address(known ? context.address(v) : 0)
        .address(known ? 0 : context.address(v))
        .address(context.address(eta))
        .address(context.address(y))
        .i32(rows)
        .i32(width)
        .f32((float) (1.0 - omega))
        .flag(wide(texts.dtype(), width, from))
        .run();
    if (chunks > 0) {
      context.memory().free(partial);
    }
    return new ReweightedTexts(v, eta, y);
  }

  /** The sums of the chunks: f32 [chunks, width]. */
  private long sums(Tensor texts, int chunks, int chunkRows) {
    int width = texts.dim(1);
    long from = context.address(texts);
    boolean wide = wide(texts.dtype(), width, from);
    int columns = 32 * (wide ? 16 / texts.dtype().bytes() : 1);
    long partial = context.memory().allocate((long) Float.BYTES * chunks * width);
    context
        .launch("textSums_fwd" + suffix(texts.dtype()))
        .grid(divideUp(width, columns), chunks, 1)
        .threads(THREADS)
        .shared(WARPS * columns * Float.BYTES)
        .address(from)
        .address(partial)
        .i32(texts.dim(0))
        .i32(width)
        .i32(chunkRows)
        .flag(wide)
        .run();
    return partial;
  }

  PreferenceGradient gradient(Tensor texts, Tensor images) {
    int rows = texts.dim(0);
    int width = texts.dim(1);
    Tensor scores = context.allocate(DType.F32, Shape.of(rows));
    Tensor gradient = context.allocateLike(images);
    if (rows > 0) {
      long text = context.address(texts);
      long image = context.address(images);
      context
          .launch("preferenceGradient_fwd" + suffix(images.dtype()))
          .grid(divideUp(rows, ROWS_PER_BLOCK), 1, 1)
          .threads(32 * ROWS_PER_BLOCK)
          .address(text)
          .address(image)
          .address(context.address(scores))
          .address(context.address(gradient))
          .i32(rows)
          .i32(width)
          .flag(wide(images.dtype(), width, text, image))
          .run();
    }
    return new PreferenceGradient(scores, gradient);
  }

  private static int divideUp(int x, int by) {
    return (x + by - 1) / by;
  }
}
