package dev.longalign.tensor.cuda;

import static dev.longalign.tensor.cuda.CudaContext.moveSuffix;
import static dev.longalign.tensor.cuda.CudaContext.wide;

import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Operations that move elements. */
final class ShapeOps {
  private static final int THREADS = 256;

  /** Of a caption in segmentConcat: each first looks for the tokens that stay. */
  private static final int MIN_BLOCKS = 4;

  private final CudaContext context;
  private final Transfers transfers;

  ShapeOps(CudaContext context, Transfers transfers) {
    this.context = context;
    this.transfers = transfers;
  }

  Tensor concat(int axis, Tensor... xs) {
    Shape first = xs[0].shape();
    long joined = 0;
    for (Tensor x : xs) {
      joined += x.shape().dim(axis);
    }
    Tensor y = context.allocate(xs[0].dtype(), first.with(axis, joined));
    if (y.shape().size() == 0) {
      return y;
    }
    long rows = 1;
    for (int i = 0; i < axis; i++) {
      rows *= first.dim(i);
    }
    // Every operand is a block of columns of a matrix [rows, all that follows].
    long pitch = y.shape().size() / rows;
    long to = context.address(y);
    int bytes = y.dtype().bytes();
    for (Tensor x : xs) {
      long columns = x.shape().size() / rows;
      if (columns == 0) {
        continue;
      }
      long from = context.address(x);
      boolean wide = wide(x.dtype(), columns, from, to) && wide(x.dtype(), pitch);
      context
          .launch("copyRows_fwd" + moveSuffix(x.dtype()))
          .over(wide ? rows * columns * bytes / 16 : rows * columns)
          .address(from)
          .address(to)
          .i64(rows)
          .i64(columns)
          .i64(columns)
          .i64(pitch)
          .flag(wide)
          .run();
      to += columns * bytes;
    }
    return y;
  }

  Tensor slice(Tensor x, int axis, long from, long to) {
    Tensor y = context.allocate(x.dtype(), x.shape().with(axis, to - from));
    long size = y.shape().size();
    if (size == 0) {
      return y;
    }
    long rows = 1;
    for (int i = 0; i < axis; i++) {
      rows *= x.shape().dim(i);
    }
    // A block of columns of a matrix [rows, all that follows].
    long pitch = x.shape().size() / rows;
    long columns = size / rows;
    int bytes = x.dtype().bytes();
    long first = context.address(x) + from * (columns / (to - from)) * bytes;
    boolean wide = wide(x.dtype(), columns, first) && wide(x.dtype(), pitch);
    context
        .launch("copyRows_fwd" + moveSuffix(x.dtype()))
        .over(wide ? size * bytes / 16 : size)
        .address(first)
        .address(context.address(y))
        .i64(rows)
        .i64(columns)
        .i64(pitch)
        .i64(columns)
        .flag(wide)
        .run();
    return y;
  }

  Tensor upsampleNearest(Tensor x, int height, int width) {
    int channels = x.dim(3);
    Tensor y = context.allocate(x.dtype(), Shape.of(x.dim(0), height, width, channels));
    long size = y.shape().size();
    if (size == 0) {
      return y;
    }
    boolean wide = wide(x.dtype(), channels, context.address(x));
    context
        .launch("upsampleNearest_fwd" + moveSuffix(x.dtype()))
        .over(wide ? size * x.dtype().bytes() / 16 : size)
        .address(context.address(x))
        .address(context.address(y))
        .i64(size)
        .i32(x.dim(1))
        .i32(x.dim(2))
        .i32(channels)
        .i32(height)
        .i32(width)
        .flag(wide)
        .run();
    return y;
  }

  Tensor segmentConcat(
      Tensor hidden,
      int[][] ids,
      int[] segmentsPerCaption,
      int eosId,
      int padId,
      Tensor padEmbedding,
      int tokenLength) {
    int captions = segmentsPerCaption.length;
    int length = hidden.dim(1);
    int width = hidden.dim(2);
    Tensor y = context.allocate(hidden.dtype(), Shape.of(captions, tokenLength, width));
    if (y.shape().size() == 0) {
      return y;
    }
    // One small transfer: the captions' first segments, then a bit a token: whether it stays.
    int words = (length + Integer.SIZE - 1) / Integer.SIZE;
    ByteBuffer table =
        ByteBuffer.allocateDirect(Integer.BYTES * (captions + 1 + ids.length * words))
            .order(ByteOrder.nativeOrder());
    int segment = 0;
    for (int segments : segmentsPerCaption) {
      table.putInt(segment);
      segment += segments;
    }
    table.putInt(segment);
    for (int[] row : ids) {
      for (int from = 0; from < length; from += Integer.SIZE) {
        int stay = 0;
        for (int t = Math.min(length, from + Integer.SIZE) - 1; t >= from; t--) {
          stay = stay << 1 | (row[t] != eosId && row[t] != padId ? 1 : 0);
        }
        table.putInt(stay);
      }
    }
    table.flip();
    long device = context.memory().allocate(table.remaining());
    transfers.upload(table, device);
    long from = context.address(hidden);
    long padding = context.address(padEmbedding);
    int most = (tokenLength + THREADS / 32 - 1) / (THREADS / 32); // a row a warp
    int wanted = Math.max(MIN_BLOCKS, 8 * context.device().multiprocessors() / captions);
    int blocksPerCaption = Math.min(most, wanted);
    context
        .launch("segmentConcat_fwd" + moveSuffix(hidden.dtype()))
        .grid(blocksPerCaption, captions, 1)
        .threads(THREADS)
        .shared((tokenLength + THREADS / 32) * Integer.BYTES)
        .address(from)
        .address(device + (captions + 1L) * Integer.BYTES)
        .address(device)
        .address(padding)
        .address(context.address(y))
        .i32(length)
        .i32(width)
        .i32(tokenLength)
        .flag(wide(hidden.dtype(), width, from, padding))
        .run();
    context.memory().free(device);
    return y;
  }
}
