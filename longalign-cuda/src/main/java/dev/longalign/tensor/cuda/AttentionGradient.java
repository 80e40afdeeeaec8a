package dev.longalign.tensor.cuda;

import static dev.longalign.tensor.cuda.CudaContext.suffix;
import static dev.longalign.tensor.cuda.CudaContext.wide;

import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;

/** Derivatives of attention, which keeps nothing but its operands: scores are computed again. */
final class AttentionGradient {
  /** Queries of a part of the sums over queries, at least. */
  private static final int MIN_QUERIES = 128;

  /**
   * One instance of attention_bwd_mma.cu.
   *
   * @param size the largest head it takes
   * @param scores its D
   * @param queries that a block of the kernels over queries has
   * @param keys that a block of the kernel over keys has
   * @param passing queries at a time in the kernel over keys
   */
  private record Tile(int size, int scores, int queries, int keys, int passing) {
    static final int PASSING_KEYS = 32;

    int queryShared() {
      return (2 * queries + 4 * PASSING_KEYS) * (scores + 8) * 2;
    }

    int keyShared() {
      return (2 * keys + 4 * passing) * (scores + 8) * 2 + 4 * passing * Float.BYTES;
    }
  }

  private static final Tile[] TILES = {
    new Tile(40, 48, 128, 128, 32),
    new Tile(64, 64, 128, 64, 32),
    new Tile(80, 80, 128, 64, 32),
    new Tile(128, 128, 64, 64, 32),
    new Tile(160, 160, 64, 64, 16)
  };

  private static final int MAX_MMA_SIZE = 160;
  private static final int THREADS = 128;
  private static final int F32_WARPS = 4;
  private static final int F32_PASSING = 32;

  private final CudaContext context;

  AttentionGradient(CudaContext context) {
    this.context = context;
  }

  Tensor[] attention(
      Tensor q, Tensor k, Tensor v, int heads, float scale, Tensor dy, boolean[] wanted) {
    return gradients(new Operands(q, k, v, dy, heads, scale, false), wanted);
  }

  Tensor[] causalAttention(
      Tensor q, Tensor k, Tensor v, int heads, float scale, Tensor dy, boolean[] wanted) {
    return gradients(new Operands(q, k, v, dy, heads, scale, true), wanted);
  }

  private record Operands(
      Tensor q, Tensor k, Tensor v, Tensor dy, int heads, float scale, boolean causal) {
    int size() {
      return q.dim(2) / heads;
    }

    DType dtype() {
      return q.dtype();
    }

    Operands cast(DType dtype) {
      return new Operands(
          q.cast(dtype), k.cast(dtype), v.cast(dtype), dy.cast(dtype), heads, scale, causal);
    }
  }

  private Tensor[] gradients(Operands of, boolean[] wanted) {
    int size = AttentionOps.headSize(of.q, of.heads);
    Tensor[] inputs = {of.q, of.k, of.v};
    Tensor[] results = new Tensor[inputs.length];
    boolean empty = of.q.shape().size() == 0 || of.k.shape().size() == 0;
    if (of.dtype() != DType.F32 && !empty && (size % 8 != 0 || size > MAX_MMA_SIZE)) {
      results = gradients(of.cast(DType.F32), wanted);
      for (int i = 0; i < results.length; i++) {
        results[i] = wanted[i] ? results[i].cast(of.dtype()) : null;
      }
      return results;
    }
    for (int i = 0; i < results.length; i++) {
      if (wanted[i]) {
        results[i] =
            empty
                ? context.backend().zeros(of.dtype(), inputs[i].shape())
                : context.allocateLike(inputs[i]);
      }
    }
    if (!empty && (wanted[0] || wanted[1] || wanted[2])) {
      run(of, results[0], results[1], results[2]);
    }
    return results;
  }

  private void run(Operands of, Tensor dq, Tensor dk, Tensor dv) {
    Shape perQuery = Shape.of(of.q.dim(0), of.heads, of.q.dim(1));
    Tensor sums = context.allocate(DType.F32, perQuery);
    boolean needsDeltas = dq != null || dk != null;
    Tensor deltas = needsDeltas ? context.allocate(DType.F32, perQuery) : null;
    double product = (of.causal ? 1.0 : 2.0) * of.q.shape().size() * of.k.dim(1);

    problem(overQueries(of, "attentionStatistics_bwd"), of, sums, deltas).run();
    context.log().computed(product * (needsDeltas ? 2 : 1));
    if (dq != null) {
      problem(overQueries(of, "attentionQueries_bwd"), of, sums, deltas)
          .address(context.address(dq))
          .run();
      context.log().computed(product * 3);
    }
    if (dk != null || dv != null) {
      overKeys(of, sums, deltas, dk, dv);
      context.log().computed(product * (1 + (dk == null ? 0 : 2) + (dv == null ? 0 : 1)));
    }
  }

  /** The arguments that all kernels begin with. */
  private Launch problem(Launch launch, Operands of, Tensor sums, Tensor deltas) {
    long[] addresses = {
      context.address(of.q), context.address(of.k), context.address(of.v), context.address(of.dy)
    };
    for (long address : addresses) {
      launch.address(address);
    }
    return launch
        .address(context.address(sums))
        .address(addressOrNull(deltas))
        .i32(of.q.dim(1))
        .i32(of.k.dim(1))
        .i32(of.heads)
        .i32(of.size())
        .f32(of.scale)
        .i32(AttentionOps.flags(wide(of.dtype(), of.size(), addresses), of.causal));
  }

  private long addressOrNull(Tensor x) {
    return x == null ? 0 : context.address(x);
  }

  private Launch overQueries(Operands of, String kernel) {
    if (of.dtype() == DType.F32) {
      return fma(of, kernel, of.q.dim(1));
    }
    Tile tile = tile(of.size());
    return context
        .launch(kernel + suffix(of.dtype()) + "_" + tile.size)
        .grid(parts(of.q.dim(1), tile.queries), of.heads, of.q.dim(0))
        .threads(THREADS)
        .shared(tile.queryShared());
  }

  private void overKeys(Operands of, Tensor sums, Tensor deltas, Tensor dk, Tensor dv) {
    if (of.dtype() == DType.F32) {
      problem(fma(of, "attentionKeys_bwd", of.k.dim(1)), of, sums, deltas)
          .address(addressOrNull(dk))
          .address(addressOrNull(dv))
          .run();
      return;
    }
    Tile tile = tile(of.size());
    int queries = of.q.dim(1);
    int batch = of.q.dim(0);
    int blocks = parts(of.k.dim(1), tile.keys);
    int parts = keyParts((long) blocks * of.heads * batch, queries);
    int partRows = parts(parts(queries, parts), tile.passing) * tile.passing;
    parts = parts(queries, partRows);
    Shape shape = Shape.of(1, parts, of.k.shape().size());
    Tensor keyParts = dk == null ? null : context.allocate(DType.F32, shape);
    Tensor valueParts = dv == null ? null : context.allocate(DType.F32, shape);
    Launch launch =
        context
            .launch("attentionKeys_bwd" + suffix(of.dtype()) + "_" + tile.size)
            .grid(blocks, of.heads, (long) batch * parts)
            .threads(THREADS)
            .shared(tile.keyShared());
    problem(launch, of, sums, deltas)
        .address(addressOrNull(keyParts))
        .address(addressOrNull(valueParts))
        .i32(parts)
        .i32(partRows)
        .run();
    if (dk != null) {
      ProductGradient.sumParts(context, keyParts, dk, parts, 1, 1);
    }
    if (dv != null) {
      ProductGradient.sumParts(context, valueParts, dv, parts, 1, 1);
    }
  }

  /**
   * In how many parts the sums over queries are computed: several where there are few keys, as in
   * cross-attention, so that every multiprocessor has something to do.
   */
  private int keyParts(long blocks, int queries) {
    int multiprocessors = context.device().multiprocessors();
    if (blocks >= multiprocessors) {
      return 1;
    }
    return (int) Math.max(1, Math.min(2 * multiprocessors / blocks, queries / MIN_QUERIES));
  }

  private static int parts(int extent, int part) {
    return (extent + part - 1) / part;
  }

  private static Tile tile(int size) {
    int i = 0;
    while (TILES[i].size < size) {
      i++;
    }
    return TILES[i];
  }

  private Launch fma(Operands of, String kernel, int rows) {
    int i = 0;
    while (AttentionOps.F32_SIZES[i] < of.size()) {
      i++;
    }
    int size = AttentionOps.F32_SIZES[i];
    int warpRows = size == 512 ? 2 : 4;
    int held = F32_WARPS * warpRows;
    int pitch = (of.size() + 7) / 8 * 8 + 4;
    int shared = ((2 * held + F32_PASSING) * pitch + 2 * held * F32_PASSING) * Float.BYTES;
    return context
        .launch(kernel + "_f32_" + size)
        .grid(parts(rows, held), of.heads, of.q.dim(0))
        .threads(THREADS)
        .shared(shared);
  }
}
