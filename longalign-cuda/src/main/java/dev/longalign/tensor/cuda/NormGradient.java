package dev.longalign.tensor.cuda;

import static dev.longalign.tensor.cuda.CudaContext.suffix;
import static dev.longalign.tensor.cuda.CudaContext.wide;

import dev.longalign.tensor.Activation;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;

/** Derivatives of the normalisations; means and deviations are computed again. */
final class NormGradient {
  private static final int ROWS_PER_BLOCK = 4;

  private final CudaContext context;
  private final ColumnSums columns;

  NormGradient(CudaContext context) {
    this.context = context;
    this.columns = new ColumnSums(context);
  }

  /** Nothing was normalised: no gradient of x, zeros for the parameters. */
  private Tensor[] empty(Tensor x, boolean[] wanted) {
    Shape perChannel = Shape.of(x.shape().dim(-1));
    return new Tensor[] {
      wanted[0] ? context.allocateLike(x) : null,
      wanted[1] ? context.backend().zeros(DType.F32, perChannel) : null,
      wanted[2] ? context.backend().zeros(DType.F32, perChannel) : null
    };
  }

  Tensor[] groupNorm(
      Tensor x,
      int groups,
      Tensor gamma,
      Tensor beta,
      float eps,
      Activation activation,
      Tensor dy,
      boolean[] wanted) {
    if (x.shape().size() == 0) {
      return empty(x, wanted);
    }
    GroupSums sums = GroupSums.of(context, x, groups);
    int batch = x.dim(0);
    int channels = x.dim(-1);
    long perChunk = (long) batch * sums.chunks();
    long groupParts = context.memory().allocate(2L * Float.BYTES * perChunk * groups);
    long gammaParts = parts(wanted[1], perChunk, channels);
    long betaParts = parts(wanted[2], perChunk, channels);
    boolean wide = wide(x.dtype(), channels, context.address(x), context.address(dy));
    int vector = wide ? 16 / x.dtype().bytes() : 1;
    context
        .launch("groupNormSums_bwd" + suffix(x.dtype()))
        .grid(sums.chunks(), batch, 1)
        .shared(2 * (groups + vector * Launch.THREADS + channels) * Float.BYTES)
        .address(context.address(x))
        .address(context.address(dy))
        .address(sums.address())
        .address(context.address(gamma))
        .address(context.address(beta))
        .address(groupParts)
        .address(gammaParts)
        .address(betaParts)
        .i32(sums.pixels())
        .i32(channels)
        .i32(groups)
        .i32(sums.chunks())
        .f32(eps)
        .i32(activation.ordinal())
        .i32(sums.chunkPixels())
        .flag(wide)
        .run();
    Tensor dx = wanted[0] ? context.allocateLike(x) : null;
    if (wanted[0]) {
      int pixelsPerBlock = sums.pixelsPerBlock(context);
      context
          .launch("groupNorm_bwd" + suffix(x.dtype()))
          .grid((sums.pixels() + pixelsPerBlock - 1) / pixelsPerBlock, batch, 1)
          .shared(4 * groups * Float.BYTES)
          .address(context.address(x))
          .address(context.address(dy))
          .address(sums.address())
          .address(groupParts)
          .address(context.address(gamma))
          .address(context.address(beta))
          .address(context.address(dx))
          .i32(sums.pixels())
          .i32(channels)
          .i32(groups)
          .i32(sums.chunks())
          .f32(eps)
          .i32(activation.ordinal())
          .i32(pixelsPerBlock)
          .flag(wide)
          .run();
    }
    context.memory().free(sums.address());
    context.memory().free(groupParts);
    return new Tensor[] {
      dx, sum(gammaParts, perChunk, channels), sum(betaParts, perChunk, channels)
    };
  }

  Tensor[] layerNorm(Tensor x, Tensor gamma, float eps, Tensor dy, boolean[] wanted) {
    if (x.shape().size() == 0) {
      return empty(x, wanted);
    }
    int channels = x.dim(-1);
    int rows = Math.toIntExact(x.shape().size() / channels);
    boolean parameters = wanted[1] || wanted[2];
    Tensor dx = wanted[0] ? context.allocateLike(x) : null;
    long statistics = parts(parameters, rows, 2);
    context
        .launch("layerNorm_bwd" + suffix(x.dtype()))
        .grid((rows + ROWS_PER_BLOCK - 1) / ROWS_PER_BLOCK, 1, 1)
        .threads(32 * ROWS_PER_BLOCK)
        .address(context.address(x))
        .address(context.address(gamma))
        .address(context.address(dy))
        .address(dx == null ? 0 : context.address(dx))
        .address(statistics)
        .i32(rows)
        .i32(channels)
        .f32(eps)
        .flag(wide(x.dtype(), channels, context.address(x), context.address(dy)))
        .run();
    if (!parameters) {
      return new Tensor[] {dx, null, null};
    }
    ColumnSums.Chunks chunks =
        columns.chunks(1, rows, channels, 2, x.dtype(), context.address(x), context.address(dy));
    long gammaParts = parts(wanted[1], chunks.count(), channels);
    long betaParts = parts(wanted[2], chunks.count(), channels);
    context
        .launch("layerNormSums_bwd" + suffix(x.dtype()))
        .grid(chunks.gridX(), chunks.count(), 1)
        .shared(chunks.shared())
        .address(context.address(x))
        .address(context.address(dy))
        .address(statistics)
        .address(gammaParts)
        .address(betaParts)
        .i32(rows)
        .i32(channels)
        .i32(Math.toIntExact(chunks.chunkRows()))
        .flag(chunks.wide())
        .run();
    context.memory().free(statistics);
    return new Tensor[] {
      dx, sum(gammaParts, chunks.count(), channels), sum(betaParts, chunks.count(), channels)
    };
  }

  /** Room for f32 sums per chunk; a null address if they are not wanted. */
  private long parts(boolean wanted, long chunks, int columns) {
    return wanted ? context.memory().allocate(Float.BYTES * chunks * columns) : 0;
  }

  /** Adds and frees them. */
  private Tensor sum(long parts, long chunks, int columnCount) {
    if (parts == 0) {
      return null;
    }
    Tensor y = columns.sum(parts, chunks, columnCount);
    context.memory().free(parts);
    return y;
  }
}
