package dev.longalign.tensor.cuda;

import static dev.longalign.tensor.cuda.CudaContext.suffix;
import static dev.longalign.tensor.cuda.CudaContext.wide;

import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;

/** Sums over rows in two steps: chunks of rows, then what the chunks left. */
final class ColumnSums {
  /** Threads across the columns of a block, as reduce.cuh has it. */
  private static final int TILE = 32;

  private static final int MIN_ROWS = 64;
  private static final int MAX_CHUNKS = 256;

  private final CudaContext context;

  ColumnSums(CudaContext context) {
    this.context = context;
  }

  /**
   * How a part's rows are divided.
   *
   * @param gridX blocks across parts and columns
   * @param chunkRows rows of a block
   */
  record Chunks(long gridX, int count, long chunkRows, boolean wide, int shared) {}

  /**
   * Enough chunks for every multiprocessor, but none of a few rows.
   *
   * @param sums that a thread keeps at once
   */
  Chunks chunks(long parts, long rows, int columns, int sums, DType dtype, long... addresses) {
    boolean wide = wide(dtype, columns, addresses);
    int vector = wide ? 16 / dtype.bytes() : 1;
    int vectors = columns / vector;
    long gridX = parts * divideUp(vectors, Math.min(vectors, TILE));
    long most = Math.min(MAX_CHUNKS, divideUp(rows, MIN_ROWS));
    long wanted = divideUp(4L * context.device().multiprocessors(), gridX);
    long chunkRows = divideUp(rows, Math.max(1, Math.min(most, wanted)));
    int shared = sums * vector * Launch.THREADS * Float.BYTES;
    return new Chunks(gridX, (int) divideUp(rows, chunkRows), chunkRows, wide, shared);
  }

  /** {@code [parts * rows, C] -> [parts, C]} in f32. */
  Tensor sum(Tensor x, int parts, int columns) {
    Tensor y = context.allocate(DType.F32, Shape.of(parts, columns));
    long rows = x.shape().size() / parts / columns;
    sum(context.address(x), x.dtype(), parts, rows, columns, context.address(y));
    return y;
  }

  /** The sums of what a kernel left per chunk, f32 {@code [rows, C] -> [C]}. */
  Tensor sum(long parts, long rows, int columns) {
    Tensor y = context.allocate(DType.F32, Shape.of(columns));
    sum(parts, DType.F32, 1, rows, columns, context.address(y));
    return y;
  }

  private void sum(long x, DType dtype, long parts, long rows, int columns, long y) {
    Chunks chunks = chunks(parts, rows, columns, 1, dtype, x);
    boolean once = chunks.count == 1;
    long to =
        once ? y : context.memory().allocate(parts * chunks.count * columns * (long) Float.BYTES);
    context
        .launch("columnSums_fwd" + suffix(dtype))
        .grid(chunks.gridX, chunks.count, 1)
        .shared(chunks.shared)
        .address(x)
        .address(to)
        .i64(rows)
        .i32(columns)
        .i64(chunks.chunkRows)
        .flag(chunks.wide)
        .run();
    if (!once) {
      sum(to, DType.F32, parts, chunks.count, columns, y);
      context.memory().free(to);
    }
  }

  private static long divideUp(long x, long by) {
    return (x + by - 1) / by;
  }
}
