package dev.longalign.tensor.cpu;

import static dev.longalign.tensor.cpu.CpuContext.address;
import static org.bytedeco.dnnl.global.dnnl.*;

import dev.longalign.tensor.DType;
import dev.longalign.tensor.Tensor;
import java.util.List;

/**
 * Multi-head attention in blocks of queries, so that a block's scores stay in cache between the two
 * products.
 *
 * <p>The second product is computed as {@code O^T = V^T P^T}, with V transposed beforehand: with
 * few columns per head (40 in SD 1.5's first level) oneDNN is faster that way. The scale goes to
 * the queries: a post-operation on the scores would cost a tenth of the first product.
 */
final class AttentionOps {
  /**
   * Scores per block: 4 MiB of f32. Smaller blocks stay closer to the core but pay more for calls
   * and barriers.
   */
  private static final long BLOCK_SCORES = 1 << 20;

  private static final long MAX_BLOCK = 512;

  private final CpuContext context;

  AttentionOps(CpuContext context) {
    this.context = context;
  }

  Tensor attention(Tensor q, Tensor k, Tensor v, int heads, float scale) {
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
    CpuMemory memory = context.memory();
    int bytes = dtype.bytes();
    // Few long calls: every call ends in a barrier of all threads, which is dear where other
    // programs want the cores.
    long rowsPerBlock =
        Math.min(queries, Math.min(MAX_BLOCK, Math.max(32, BLOCK_SCORES / keys / 32 * 32)));
    boolean whole = rowsPerBlock == queries;
    long headsPerBlock = whole ? largestDivisor(heads, BLOCK_SCORES / (queries * keys)) : 1;
    long imagesPerBlock =
        headsPerBlock == heads ? largestDivisor(batch, BLOCK_SCORES / (heads * queries * keys)) : 1;
    long blockScores = imagesPerBlock * headsPerBlock * rowsPerBlock * keys;
    long scores = memory.allocate(blockScores * DType.F32.bytes());
    long probabilities = dtype == DType.F32 ? scores : memory.allocate(blockScores * bytes);
    long scaledQ = memory.allocate(batch * queries * channels * bytes);
    long vTransposed = memory.allocate(batch * channels * keys * bytes);
    long yTransposed = memory.allocate(batch * channels * queries * bytes);
    try {
      scaled(q.shape().size(), dtype, scale).execute(memory, address(q), scaledQ);
      transpose(batch, keys, channels, dtype).execute(memory, address(v), vTransposed);
      for (long b = 0; b < batch; b += imagesPerBlock) {
        for (long h = 0; h < heads; h += headsPerBlock) {
          long kAddress = address(k) + (b * keys * channels + h * depth) * bytes;
          long vAddress = vTransposed + (b * channels + h * depth) * keys * bytes;
          for (long from = 0; from < queries; from += rowsPerBlock) {
            long rows = Math.min(rowsPerBlock, queries - from);
            Block block =
                new Block(
                    imagesPerBlock, headsPerBlock, rows, keys, depth, channels, queries, dtype);
            long qAddress = scaledQ + ((b * queries + from) * channels + h * depth) * bytes;
            long yAddress = yTransposed + ((b * channels + h * depth) * queries + from) * bytes;
            scores(block).execute(memory, qAddress, kAddress, scores);
            softmax(block).execute(memory, scores, probabilities);
            values(block).execute(memory, vAddress, probabilities, yAddress);
          }
        }
      }
      transpose(batch, channels, queries, dtype).execute(memory, yTransposed, address(y));
    } finally {
      memory.free(scores);
      if (probabilities != scores) {
        memory.free(probabilities);
      }
      memory.free(scaledQ);
      memory.free(vTransposed);
      memory.free(yTransposed);
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

  /**
   * What is computed at once: {@code rows} queries of some heads of some images, against all keys.
   */
  private record Block(
      long images,
      long heads,
      long rows,
      long keys,
      long depth,
      long channels,
      long queries,
      DType dtype) {
    /** Of [images, heads, a, b], from the strides of the last three. */
    Layout layout(long a, long b, long imageStride, long headStride, long aStride, long bStride) {
      return Layout.strided(
          dtype,
          new long[] {images, heads, a, b},
          new long[] {imageStride, headStride, aStride, bStride});
    }
  }

  static long largestDivisor(long n, long limit) {
    long divisor = Math.max(1, Math.min(n, limit));
    while (n % divisor != 0) {
      divisor--;
    }
    return divisor;
  }

  /** {@code S = Q K^T}: [images, heads, rows, keys] in f32. */
  private Primitive scores(Block b) {
    return context
        .cache()
        .get(
            List.of("scores", b),
            () ->
                MatrixOps.batched(
                    b.layout(b.rows, b.depth, b.queries * b.channels, b.depth, b.channels, 1),
                    b.layout(b.depth, b.keys, b.keys * b.channels, b.depth, 1, b.channels),
                    Layout.dense(DType.F32, b.images, b.heads, b.rows, b.keys)));
  }

  private Primitive softmax(Block b) {
    long rows = b.images * b.heads * b.rows;
    return context
        .cache()
        .get(
            List.of("softmax", rows, b.keys, b.dtype),
            () -> {
              try (Layout source = Layout.dense(DType.F32, rows, b.keys);
                  Layout target = Layout.dense(b.dtype, rows, b.keys);
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
            });
  }

  /** {@code O^T = V^T P^T}: [images, heads, depth, rows] inside [images, channels, queries]. */
  private Primitive values(Block b) {
    long headScores = b.rows * b.keys;
    return context
        .cache()
        .get(
            List.of("values", b),
            () ->
                MatrixOps.batched(
                    b.layout(b.depth, b.keys, b.channels * b.keys, b.depth * b.keys, b.keys, 1),
                    b.layout(b.keys, b.rows, b.heads * headScores, headScores, 1, b.keys),
                    b.layout(
                        b.depth,
                        b.rows,
                        b.channels * b.queries,
                        b.depth * b.queries,
                        b.queries,
                        1)));
  }

  /** [batch, rows, columns] to [batch, columns, rows]. */
  private Primitive transpose(long batch, long rows, long columns, DType dtype) {
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
