package dev.longalign.tensor.cpu;

import static dev.longalign.tensor.cpu.CpuContext.address;
import static org.bytedeco.dnnl.global.dnnl.*;

import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import java.util.List;

/**
 * Multi-head attention in blocks of queries, so that a block's scores stay near the core between
 * the two products. Blocks are independent: each runs on one thread, without barriers.
 *
 * <p>The second product is computed as {@code O^T = V^T P^T}, with V transposed beforehand: with
 * few columns per head (40 in SD 1.5's first level) oneDNN is faster that way. The scale goes to
 * the queries: a post-operation on the scores would cost a tenth of the first product.
 */
final class AttentionOps {
  /** Scores per block: 4 MiB of f32. */
  private static final long BLOCK_SCORES = 1 << 20;

  private static final long MAX_BLOCK = 256;

  private final CpuContext context;
  private final CpuWorkers workers;

  AttentionOps(CpuContext context, CpuWorkers workers) {
    this.context = context;
    this.workers = workers;
  }

  /**
   * @param causal whether a query sees only the keys up to its own place
   */
  Tensor attention(Tensor q, Tensor k, Tensor v, int heads, float scale, boolean causal) {
    long batch = q.shape().dim(0);
    long queries = q.shape().dim(1);
    long keys = k.shape().dim(1);
    long channels = q.shape().dim(2);
    long depth = channels / heads;
    DType dtype = q.dtype();
    Tensor y = context.allocateLike(q);
    if (y.shape().size() == 0) {
      return y;
    }
    if (keys == 0) {
      HostMemory.zero(address(y), y.storage().bytes());
      return y;
    }
    context.work().computed(4.0 * batch * queries * keys * channels);
    CpuMemory memory = context.memory();
    int bytes = dtype.bytes();
    long scaledQ = memory.allocate(batch * queries * channels * bytes);
    long vTransposed = memory.allocate(batch * channels * keys * bytes);
    long yTransposed = memory.allocate(batch * channels * queries * bytes);
    long block =
        Math.min(queries, Math.min(MAX_BLOCK, Math.max(32, BLOCK_SCORES / keys / 32 * 32)));
    // Every worker has its own scores, which so stay in its core's cache.
    long scoreBytes = block * keys * (DType.F32.bytes() + (dtype == DType.F32 ? 0 : bytes));
    long scores = memory.allocate(workers.count() * scoreBytes);
    long mask = causal ? CausalMask.write(memory, queries) : 0;
    try {
      scaled(q.shape().size(), dtype, scale).execute(memory, address(q), scaledQ);
      transpose(context, batch, keys, channels, dtype).execute(memory, address(v), vTransposed);
      int blocks = Math.toIntExact((queries + block - 1) / block);
      int images = Math.toIntExact(batch);
      workers.run(
          images * heads * blocks,
          (worker, index) -> {
            long from = index % blocks * block;
            long head = index / blocks % heads;
            long image = index / blocks / heads;
            new Block(
                    Math.min(block, queries - from), keys, depth, channels, queries, causal, dtype)
                .run(
                    worker.cache(),
                    memory,
                    scores + worker.number() * scoreBytes,
                    mask + from * keys * DType.F32.bytes(),
                    scaledQ + ((image * queries + from) * channels + head * depth) * bytes,
                    address(k) + (image * keys * channels + head * depth) * bytes,
                    vTransposed + (image * channels + head * depth) * keys * bytes,
                    yTransposed + ((image * channels + head * depth) * queries + from) * bytes);
          });
      transpose(context, batch, channels, queries, dtype).execute(memory, yTransposed, address(y));
    } finally {
      memory.free(scaledQ);
      memory.free(vTransposed);
      memory.free(yTransposed);
      memory.free(scores);
      if (causal) {
        memory.free(mask);
      }
    }
    return y;
  }

  private Primitive scaled(long size, DType dtype, float scale) {
    return context
        .cache()
        .get(
            List.of("scaled", size, dtype, scale),
            () -> {
              try (Layout data = Layout.dense(dtype, size);
                  Attributes attributes = new Attributes()) {
                return Primitive.create(
                    "scaling",
                    (pd, attr) ->
                        dnnl_eltwise_forward_primitive_desc_create(
                            pd,
                            OneDnn.ENGINE,
                            dnnl_forward_inference,
                            dnnl_eltwise_linear,
                            data.descriptor(),
                            data.descriptor(),
                            scale,
                            0,
                            attr.build()),
                    attributes,
                    new int[] {DNNL_ARG_SRC_0, DNNL_ARG_DST},
                    data,
                    data);
              }
            });
  }

  /** {@code rows} queries of one head of one image, against all keys. */
  private record Block(
      long rows, long keys, long depth, long channels, long queries, boolean causal, DType dtype) {

    /**
     * Addresses: room for the scores, the mask of the first query, the first query, the first key,
     * the head's V^T, and the block's place in O^T.
     */
    void run(
        PrimitiveCache cache,
        CpuMemory memory,
        long scores,
        long mask,
        long q,
        long k,
        long v,
        long y) {
      long probabilities = dtype == DType.F32 ? scores : scores + rows * keys * DType.F32.bytes();
      cache.get(List.of("scores", this), this::scores).execute(memory, q, k, scores);
      if (causal) {
        CausalMask.primitive(cache, 1, rows, keys).execute(memory, scores, mask, scores);
      }
      cache.get(List.of("softmax", this), this::softmax).execute(memory, scores, probabilities);
      cache.get(List.of("values", this), this::values).execute(memory, v, probabilities, y);
    }

    /** {@code S = Q K^T}: [rows, keys] in f32. */
    private Primitive scores() {
      return MatrixOps.batched(
          Layout.strided(dtype, new long[] {rows, depth}, new long[] {channels, 1}),
          Layout.strided(dtype, new long[] {depth, keys}, new long[] {1, channels}),
          Layout.dense(DType.F32, rows, keys));
    }

    private Primitive softmax() {
      return AttentionOps.softmax(rows, keys, dtype);
    }

    /** {@code O^T = V^T P^T}: [depth, rows] inside [depth, queries]. */
    private Primitive values() {
      return MatrixOps.batched(
          Layout.dense(dtype, depth, keys),
          Layout.strided(dtype, new long[] {keys, rows}, new long[] {1, keys}),
          Layout.strided(dtype, new long[] {depth, rows}, new long[] {queries, 1}));
    }
  }

  /** Of the rows of f32 scores, to probabilities in a type; both may be at one address in f32. */
  static Primitive softmax(long rows, long keys, DType dtype) {
    try (Layout source = Layout.dense(DType.F32, rows, keys);
        Layout target = Layout.dense(dtype, rows, keys);
        Attributes attributes = new Attributes()) {
      return Primitive.create(
          "softmax",
          (pd, attr) ->
              dnnl_softmax_forward_primitive_desc_create(
                  pd,
                  OneDnn.ENGINE,
                  dnnl_forward_inference,
                  dnnl_softmax_accurate,
                  source.descriptor(),
                  target.descriptor(),
                  1,
                  attr.build()),
          attributes,
          new int[] {DNNL_ARG_SRC_0, DNNL_ARG_DST},
          source,
          target);
    }
  }

  /** A new tensor: [batch, rows, columns] to [batch, columns, rows]. */
  static Tensor transposed(CpuContext context, Tensor x) {
    long batch = x.shape().dim(0);
    long rows = x.shape().dim(1);
    long columns = x.shape().dim(2);
    Tensor y = context.allocate(x.dtype(), Shape.of(batch, columns, rows));
    transpose(context, batch, rows, columns, x.dtype())
        .execute(context.memory(), address(x), address(y));
    return y;
  }

  /** [batch, rows, columns] to [batch, columns, rows]. */
  private static Primitive transpose(
      CpuContext context, long batch, long rows, long columns, DType dtype) {
    return context
        .cache()
        .get(
            List.of("transpose", batch, rows, columns, dtype),
            () -> {
              long[] dims = {batch, rows, columns};
              try (Layout source = Layout.dense(dtype, dims);
                  Layout target =
                      Layout.strided(dtype, dims, new long[] {rows * columns, 1, rows})) {
                return PrimitiveCache.reorder(source, target);
              }
            });
  }
}
