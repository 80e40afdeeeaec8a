package dev.longalign.tensor.cpu;

import static dev.longalign.tensor.cpu.CpuContext.address;
import static org.bytedeco.dnnl.global.dnnl.*;

import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import java.util.List;

/**
 * The derivative of multi-head attention in blocks of queries: a block's scores are computed again
 * rather than kept, so memory stays linear in the length (Dao et al. 2022). Each head of each image
 * runs on one thread, without barriers.
 *
 * <pre>
 *   S = scale Q K^T, P = softmax(S), O = P V
 *   dV = P^T dO, dP = dO V^T, dS = P (dP - rowsum(P dP)), dQ = scale dS K, dK = scale dS^T Q
 * </pre>
 *
 * <p>dV, dK and dQ are computed transposed, as {@link AttentionOps} computes O: {@code dV^T = dO^T
 * P} takes the scores as they lie, and has many columns where dV has few.
 */
final class AttentionGradient {
  /** Scores per block, of which there are two or three copies: 2 MiB of f32 each. */
  private static final long BLOCK_SCORES = 1 << 20;

  private static final long MAX_ROWS = 256;
  private static final long MIN_ROWS = 32;

  private final CpuContext context;
  private final CpuWorkers workers;

  AttentionGradient(CpuContext context, CpuWorkers workers) {
    this.context = context;
    this.workers = workers;
  }

  /**
   * Addresses; gradients are 0 where they are not wanted, and transposed: [B, C, length]; so is the
   * causal mask [queries, keys].
   */
  private record Operands(
      long q, long k, long v, long kTransposed, long mask, long dy, long dq, long dk, long dv) {}

  /**
   * @param causal whether a query sees only the keys up to its own place
   */
  Tensor[] attention(
      Tensor q,
      Tensor k,
      Tensor v,
      int heads,
      float scale,
      Tensor dy,
      boolean[] wanted,
      boolean causal) {
    long batch = q.shape().dim(0);
    long queries = q.shape().dim(1);
    long keys = k.shape().dim(1);
    long channels = q.shape().dim(2);
    if (q.shape().size() == 0 || k.shape().size() == 0) {
      return new Tensor[] {zeros(q, wanted[0]), zeros(k, wanted[1]), zeros(v, wanted[2])};
    }
    DType dtype = q.dtype();
    Tensor scaledQ = q.scale(scale);
    Tensor dq = wanted[0] ? context.allocate(dtype, Shape.of(batch, channels, queries)) : null;
    // Sums over blocks of queries: f32, whatever the type of the keys.
    Tensor dk = wanted[1] ? context.allocate(DType.F32, Shape.of(batch, channels, keys)) : null;
    Tensor dv = wanted[2] ? context.allocate(DType.F32, Shape.of(batch, channels, keys)) : null;
    CpuMemory memory = context.memory();
    long mask = causal ? CausalMask.write(memory, queries) : 0;
    Operands operands =
        new Operands(
            address(scaledQ),
            address(k),
            address(v),
            wanted[0] ? address(AttentionOps.transposed(context, k)) : 0,
            mask,
            address(dy),
            dq == null ? 0 : address(dq),
            dk == null ? 0 : address(dk),
            dv == null ? 0 : address(dv));
    long rows = Math.min(MAX_ROWS, Math.max(MIN_ROWS, BLOCK_SCORES / keys / MIN_ROWS * MIN_ROWS));
    Head head = new Head(Math.min(rows, queries), queries, keys, channels / heads, channels, dtype);
    long room = head.scratchBytes();
    long scratch = memory.allocate(workers.count() * room);
    try {
      workers.run(
          Math.toIntExact(batch * heads),
          (worker, index) ->
              head.run(
                  worker.cache(),
                  memory,
                  operands,
                  index / heads,
                  index % heads,
                  scratch + worker.number() * room));
    } finally {
      memory.free(scratch);
      if (causal) {
        memory.free(mask);
      }
    }
    count(2.0 * batch * queries * keys * channels, wanted);
    return new Tensor[] {
      dq == null ? null : AttentionOps.transposed(context, dq).scale(scale),
      dk == null ? null : AttentionOps.transposed(context, dk).cast(dtype),
      dv == null ? null : AttentionOps.transposed(context, dv).cast(dtype)
    };
  }

  private void count(double product, boolean[] wanted) {
    int products = wanted[0] || wanted[1] ? 2 : 1;
    for (boolean one : wanted) {
      products += one ? 1 : 0;
    }
    context.work().computed(products * product);
    context.work().repeated(product);
  }

  private Tensor zeros(Tensor x, boolean wanted) {
    return wanted ? context.backend().zeros(x.dtype(), x.shape()) : null;
  }

  /**
   * One head of one image.
   *
   * @param rows queries of a block
   */
  private record Head(long rows, long queries, long keys, long depth, long channels, DType dtype) {

    private long scoreBytes() {
      return rows * keys * DType.F32.bytes();
    }

    private long narrowBytes() {
      return rows * keys * dtype.bytes();
    }

    /** Scores in f32, which in f32 become the probabilities; those; and their gradients. */
    long scratchBytes() {
      return scoreBytes() + narrowBytes() + (dtype == DType.F32 ? 0 : narrowBytes());
    }

    void run(
        PrimitiveCache cache, CpuMemory memory, Operands all, long image, long head, long scratch) {
      int bytes = dtype.bytes();
      long query = image * queries * channels + head * depth;
      long key = (image * keys * channels + head * depth) * bytes;
      long keyTransposed = (image * channels + head * depth) * keys;
      for (long from = 0; from < queries; from += rows) {
        long row = (query + from * channels) * bytes;
        long rowTransposed = ((image * channels + head * depth) * queries + from) * bytes;
        new Block(this, Math.min(rows, queries - from), from == 0)
            .run(
                cache,
                memory,
                scratch,
                new Operands(
                    all.q + row,
                    all.k + key,
                    all.v + key,
                    all.kTransposed + keyTransposed * bytes,
                    all.mask == 0 ? 0 : all.mask + from * keys * DType.F32.bytes(),
                    all.dy + row,
                    all.dq == 0 ? 0 : all.dq + rowTransposed,
                    all.dk == 0 ? 0 : all.dk + keyTransposed * DType.F32.bytes(),
                    all.dv == 0 ? 0 : all.dv + keyTransposed * DType.F32.bytes()));
      }
    }
  }

  /**
   * Some queries of a head.
   *
   * @param first whether the sums over queries begin here
   */
  private record Block(Head head, long rows, boolean first) {

    void run(PrimitiveCache cache, CpuMemory memory, long scratch, Operands at) {
      long scores = scratch;
      long probabilities = head.dtype == DType.F32 ? scores : scores + head.scoreBytes();
      long gradient =
          scratch + head.scoreBytes() + (head.dtype == DType.F32 ? 0 : head.narrowBytes());
      product(cache, DType.F32).execute(memory, at.q, at.k, scores);
      if (at.mask != 0) {
        CausalMask.primitive(cache, 1, rows, head.keys).execute(memory, scores, at.mask, scores);
      }
      softmax(cache).execute(memory, scores, probabilities);
      if (at.dv != 0) {
        sum(cache).execute(memory, at.dy, probabilities, at.dv);
      }
      if (at.dq == 0 && at.dk == 0) {
        return;
      }
      product(cache, head.dtype).execute(memory, at.dy, at.v, gradient);
      softmaxGradient(cache).execute(memory, probabilities, gradient, gradient);
      if (at.dk != 0) {
        sum(cache).execute(memory, at.q, gradient, at.dk);
      }
      if (at.dq != 0) {
        overKeys(cache).execute(memory, at.kTransposed, gradient, at.dq);
      }
    }

    /** {@code a b^T}: rows times keys. */
    private Primitive product(PrimitiveCache cache, DType result) {
      return cache.get(
          List.of("attention gradient: a b^T", head, rows, result),
          () ->
              MatrixOps.batched(
                  Layout.strided(
                      head.dtype, new long[] {rows, head.depth}, new long[] {head.channels, 1}),
                  Layout.strided(
                      head.dtype,
                      new long[] {head.depth, head.keys},
                      new long[] {1, head.channels}),
                  Layout.dense(result, rows, head.keys)));
    }

    /** Adds {@code a^T s} to f32 [depth, keys], or begins with it. */
    private Primitive sum(PrimitiveCache cache) {
      return cache.get(
          List.of("attention gradient: a^T s", this),
          () -> {
            try (Attributes attributes = new Attributes()) {
              return MatrixOps.batched(
                  Layout.strided(
                      head.dtype, new long[] {head.depth, rows}, new long[] {1, head.channels}),
                  Layout.dense(head.dtype, rows, head.keys),
                  Layout.dense(DType.F32, head.depth, head.keys),
                  first ? attributes : attributes.accumulate());
            }
          });
    }

    /** {@code k^T s^T}: [depth, rows] inside [depth, queries]. */
    private Primitive overKeys(PrimitiveCache cache) {
      return cache.get(
          List.of("attention gradient: k^T s^T", head, rows),
          () ->
              MatrixOps.batched(
                  Layout.dense(head.dtype, head.depth, head.keys),
                  Layout.strided(
                      head.dtype, new long[] {head.keys, rows}, new long[] {1, head.keys}),
                  Layout.strided(
                      head.dtype, new long[] {head.depth, rows}, new long[] {head.queries, 1})));
    }

    private Primitive softmax(PrimitiveCache cache) {
      return cache.get(
          List.of("attention gradient: softmax", head, rows),
          () -> AttentionOps.softmax(rows, head.keys, head.dtype));
    }

    /** {@code dS = P (dP - rowsum(P dP))}. */
    private Primitive softmaxGradient(PrimitiveCache cache) {
      return cache.get(
          List.of("attention gradient: softmax gradient", head, rows),
          () -> {
            try (Layout data = Layout.dense(head.dtype, rows, head.keys);
                Attributes attributes = new Attributes()) {
              return Primitive.create(
                  "gradient of softmax",
                  (pd, attr) ->
                      dnnl_softmax_backward_primitive_desc_create(
                          pd,
                          OneDnn.ENGINE,
                          dnnl_softmax_accurate,
                          data.descriptor(),
                          data.descriptor(),
                          data.descriptor(),
                          1,
                          null,
                          attr.build()),
                  attributes,
                  new int[] {DNNL_ARG_DST, DNNL_ARG_DIFF_DST_0, DNNL_ARG_DIFF_SRC_0},
                  data,
                  data,
                  data);
            }
          });
    }
  }
}
