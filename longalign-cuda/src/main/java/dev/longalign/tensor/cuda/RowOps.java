package dev.longalign.tensor.cuda;

import static dev.longalign.tensor.cuda.CudaContext.items;
import static dev.longalign.tensor.cuda.CudaContext.moveSuffix;
import static dev.longalign.tensor.cuda.CudaContext.suffix;
import static dev.longalign.tensor.cuda.CudaContext.wide;

import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.stream.IntStream;

/** Sums over rows and columns, rows by their numbers, and what their derivatives are made of. */
final class RowOps {
  private static final int WARP = 32;
  private static final int ROWS_PER_BLOCK = 4;

  /** Rows of more elements are computed by a whole block each. */
  private static final int LONG_ROW = 2048;

  private final CudaContext context;
  private final Transfers transfers;
  private final ColumnSums columns;
  private final Sums sums;

  RowOps(CudaContext context, Transfers transfers) {
    this.context = context;
    this.transfers = transfers;
    this.columns = new ColumnSums(context);
    this.sums = new Sums(context, transfers);
  }

  Tensor columnSums(Tensor x, int groups) {
    if (x.shape().size() == 0) {
      return context.backend().zeros(DType.F32, Shape.of(groups, x.shape().dim(-1)));
    }
    return columns.sum(x, groups, x.dim(-1));
  }

  Tensor sum(Tensor x) {
    return sums.sum(x);
  }

  Tensor scaleRows(Tensor x, Tensor factors) {
    Tensor y = context.allocateLike(x);
    if (y.shape().size() == 0) {
      return y;
    }
    int width = x.dim(-1);
    boolean wide = wide(x.dtype(), width, context.address(x));
    context
        .launch("scaleRows_fwd" + suffix(x.dtype()))
        .over(wide ? items(x) : x.shape().size())
        .address(context.address(x))
        .address(context.address(factors))
        .address(context.address(y))
        .i64(x.shape().size() / width)
        .i32(width)
        .flag(wide)
        .run();
    return y;
  }

  // ---- one result a row, or rows that depend on such a result

  Tensor rowDots(Tensor a, Tensor b) {
    Tensor y = perRow(a);
    rows("rowDots_fwd", a.dim(-1), y.shape().size(), a, b, y);
    return y;
  }

  Tensor normalizeRows(Tensor x) {
    Tensor y = context.allocateLike(x);
    rows("normalizeRows_fwd", x.dim(-1), x.shape().size() / x.dim(-1), x, y);
    return y;
  }

  Tensor normalizeRows(Tensor x, Tensor dy) {
    Tensor dx = context.allocateLike(x);
    rows("normalizeRows_bwd", x.dim(-1), x.shape().size() / x.dim(-1), x, dy, dx);
    return dx;
  }

  Tensor logSumExp(Tensor x) {
    Tensor y = perRow(x);
    rows("logSumExp_fwd", x.dim(-1), y.shape().size(), x, y);
    return y;
  }

  Tensor logSumExp(Tensor x, Tensor dy) {
    Tensor dx = context.allocateLike(x);
    rows("logSumExp_bwd", x.dim(-1), dy.shape().size(), x, dy, dx);
    return dx;
  }

  private Tensor perRow(Tensor x) {
    long[] dims = x.shape().toArray();
    return context.allocate(DType.F32, Shape.of(Arrays.copyOf(dims, dims.length - 1)));
  }

  /** A warp a row, or a block for long ones; the first operand's type is the kernel's. */
  private void rows(String kernel, int width, long rows, Tensor... operands) {
    if (rows == 0) {
      return;
    }
    DType dtype = operands[0].dtype();
    boolean wide = true;
    for (Tensor x : operands) {
      wide &= x.shape().size() != rows * width || wide(dtype, width, context.address(x));
    }
    int team = width > LONG_ROW ? Launch.THREADS : WARP;
    int threads = Math.max(team, WARP * ROWS_PER_BLOCK);
    Launch launch =
        context
            .launch(kernel + suffix(dtype))
            .grid((rows + threads / team - 1) / (threads / team), 1, 1)
            .threads(threads)
            .shared(team / WARP * Float.BYTES);
    for (Tensor x : operands) {
      launch.address(context.address(x));
    }
    launch.i64(rows).i32(width).i32(team).flag(wide).run();
  }

  // ---- rows by their numbers

  Tensor gatherRows(Tensor x, int[] numbers) {
    Tensor y = context.allocate(x.dtype(), x.shape().with(0, numbers.length));
    long size = y.shape().size();
    if (size == 0) {
      return y;
    }
    long width = size / numbers.length;
    boolean wide = wide(x.dtype(), width, context.address(x));
    long table = upload(numbers);
    context
        .launch("gatherRows_fwd" + moveSuffix(x.dtype()))
        .over(wide ? items(y) : size)
        .address(context.address(x))
        .address(table)
        .address(context.address(y))
        .i64(numbers.length)
        .i64(width)
        .flag(wide)
        .run();
    context.memory().free(table);
    return y;
  }

  /** Every row that is a target adds its sources, in their order; the others are zero. */
  Tensor scatterRows(Tensor dy, int[] numbers, long count) {
    Tensor dx = context.allocate(dy.dtype(), dy.shape().with(0, count));
    transfers.zero(context.address(dx), dx.storage().bytes());
    if (dy.shape().size() == 0) {
      return dx;
    }
    int[] sources =
        IntStream.range(0, numbers.length)
            .boxed()
            .sorted((a, b) -> Integer.compare(numbers[a], numbers[b])) // stable
            .mapToInt(i -> i)
            .toArray();
    int[] starts =
        IntStream.range(0, sources.length)
            .filter(i -> i == 0 || numbers[sources[i]] != numbers[sources[i - 1]])
            .toArray();
    int[] targets = IntStream.of(starts).map(i -> numbers[sources[i]]).toArray();
    long width = dy.shape().size() / numbers.length;
    boolean wide = wide(dy.dtype(), width, context.address(dy));
    long vectors = wide ? width * dy.dtype().bytes() / 16 : width;
    long table = upload(targets, starts, new int[] {sources.length}, sources);
    long toStarts = table + (long) targets.length * Integer.BYTES;
    context
        .launch("gatherRows_bwd" + suffix(dy.dtype()))
        .grid(targets.length, (vectors + Launch.THREADS - 1) / Launch.THREADS, 1)
        .address(context.address(dy))
        .address(table)
        .address(toStarts)
        .address(toStarts + (starts.length + 1L) * Integer.BYTES)
        .address(context.address(dx))
        .i64(width)
        .flag(wide)
        .run();
    context.memory().free(table);
    return dx;
  }

  /** The numbers one after the other in device memory, which the caller frees. */
  private long upload(int[]... parts) {
    int count = Arrays.stream(parts).mapToInt(part -> part.length).sum();
    ByteBuffer bytes =
        ByteBuffer.allocateDirect(count * Integer.BYTES).order(ByteOrder.nativeOrder());
    for (int[] part : parts) {
      for (int number : part) {
        bytes.putInt(number);
      }
    }
    bytes.flip();
    long address = context.memory().allocate(bytes.remaining());
    transfers.upload(bytes, address);
    return address;
  }
}
