package dev.longalign.tensor.cpu;

import static dev.longalign.tensor.cpu.CpuContext.address;
import static org.bytedeco.dnnl.global.dnnl.*;

import dev.longalign.tensor.DType;
import dev.longalign.tensor.Tensor;
import java.util.List;

/**
 * The derivative of multi-head attention in blocks of queries: a block's scores are computed again
 * rather than kept, so memory stays linear in the length (Dao et al. 2022).
 *
 * <pre>
 *   S = scale Q K^T, P = softmax(S), O = P V
 *   dV = P^T dO, dP = dO V^T, dS = P (dP - rowsum(P dP)), dQ = scale dS K, dK = scale dS^T Q
 * </pre>
 */
final class AttentionGradient {
  /** Scores per block, of which three copies exist: 4 MiB of f32 each. */
  private static final long BLOCK_SCORES = 1 << 20;

  private static final long MAX_ROWS = 512;

  private final CpuContext context;

  AttentionGradient(CpuContext context) {
    this.context = context;
  }

  /** Some heads of one picture and {@code rows} of its queries. */
  private record Block(long heads, long rows, long keys, long depth, long channels, DType dtype) {
    /** [heads, length, depth] inside [length, channels]. */
    Layout sequence(DType type, long length) {
      return Layout.strided(
          type, new long[] {heads, length, depth}, new long[] {depth, channels, 1});
    }

    /** The same with the last two axes exchanged. */
    Layout transposed(DType type, long length) {
      return Layout.strided(
          type, new long[] {heads, depth, length}, new long[] {depth, 1, channels});
    }

    Layout scores(DType type) {
      return Layout.dense(type, heads, rows, keys);
    }

    Layout scoresTransposed(DType type) {
      return Layout.strided(
          type, new long[] {heads, keys, rows}, new long[] {rows * keys, 1, keys});
    }
  }

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
    int batch = q.dim(0);
    int queries = q.dim(1);
    int keys = k.dim(1);
    if (q.shape().size() == 0 || k.shape().size() == 0) {
      return new Tensor[] {zeros(q, wanted[0]), zeros(k, wanted[1]), zeros(v, wanted[2])};
    }
    long channels = q.dim(2);
    long depth = channels / heads;
    DType dtype = q.dtype();
    int bytes = dtype.bytes();
    long rowsPerBlock = Math.min(queries, Math.min(MAX_ROWS, Math.max(32, BLOCK_SCORES / keys)));
    long headsPerBlock =
        rowsPerBlock < queries ? 1 : largestDivisor(heads, BLOCK_SCORES / ((long) queries * keys));
    Tensor dq = wanted[0] ? context.allocateLike(q) : null;
    // Sums over blocks of queries: f32, whatever the type of the keys.
    Tensor dk = wanted[1] ? context.backend().zeros(DType.F32, k.shape()) : null;
    Tensor dv = wanted[2] ? context.backend().zeros(DType.F32, v.shape()) : null;
    Tensor scaledQ = q.scale(scale);
    try (Scores scores =
        new Scores(
            context.memory(), headsPerBlock * rowsPerBlock * keys, causal ? queries : 0, dtype)) {
      for (int b = 0; b < batch; b++) {
        for (long h = 0; h < heads; h += headsPerBlock) {
          long keyAt = b * (long) keys * channels + h * depth;
          for (long from = 0; from < queries; from += rowsPerBlock) {
            long rows = Math.min(rowsPerBlock, queries - from);
            long rowAt = (b * (long) queries + from) * channels + h * depth;
            block(
                new Block(headsPerBlock, rows, keys, depth, channels, dtype),
                scores,
                from,
                address(scaledQ) + rowAt * bytes,
                address(k) + keyAt * bytes,
                address(v) + keyAt * bytes,
                address(dy) + rowAt * bytes,
                dq == null ? 0 : address(dq) + rowAt * bytes,
                dk == null ? 0 : address(dk) + keyAt * DType.F32.bytes(),
                dv == null ? 0 : address(dv) + keyAt * DType.F32.bytes());
          }
        }
      }
    }
    return new Tensor[] {
      dq == null ? null : dq.scale(scale),
      dk == null ? null : dk.cast(dtype),
      dv == null ? null : dv.cast(dtype)
    };
  }

  private static long largestDivisor(long n, long limit) {
    long divisor = Math.max(1, Math.min(n, limit));
    while (n % divisor != 0) {
      divisor--;
    }
    return divisor;
  }

  /**
   * Scratch memory of one block: probabilities, their gradient, and either in the narrow type; and
   * the causal mask, 0 without.
   */
  private static final class Scores implements AutoCloseable {
    private final CpuMemory memory;
    private final long p;
    private final long dp;
    private final long narrow;
    private final long mask;

    Scores(CpuMemory memory, long size, long causalLength, DType dtype) {
      this.memory = memory;
      p = memory.allocate(DType.F32.bytes() * size);
      dp = memory.allocate(DType.F32.bytes() * size);
      narrow = memory.allocate(dtype == DType.F32 ? 0 : dtype.bytes() * size);
      mask = causalLength == 0 ? 0 : CausalMask.write(memory, causalLength);
    }

    @Override
    public void close() {
      memory.free(p);
      memory.free(dp);
      memory.free(narrow);
      if (mask != 0) {
        memory.free(mask);
      }
    }
  }

  /**
   * {@code from} is the first query; the addresses of the gradients are 0 where they are not
   * wanted; dk and dv are added to.
   */
  private void block(
      Block block,
      Scores scores,
      long from,
      long q,
      long k,
      long v,
      long dy,
      long dq,
      long dk,
      long dv) {
    CpuMemory memory = context.memory();
    timesTransposed(block).execute(memory, q, k, scores.p);
    if (scores.mask != 0) {
      CausalMask.primitive(context.cache(), block.heads, block.rows, block.keys)
          .execute(memory, scores.p, scores.mask + from * block.keys * DType.F32.bytes(), scores.p);
    }
    softmax(block).execute(memory, scores.p, scores.p);
    if (dv != 0) {
      long operand = inType(block, scores.p, scores.narrow);
      transposedTimes(block).execute(memory, operand, dy, dv);
    }
    if (dq == 0 && dk == 0) {
      return;
    }
    timesTransposed(block).execute(memory, dy, v, scores.dp);
    softmaxGradient(block).execute(memory, scores.p, scores.dp, scores.dp);
    long ds = inType(block, scores.dp, scores.narrow);
    if (dk != 0) {
      transposedTimes(block).execute(memory, ds, q, dk);
    }
    if (dq != 0) {
      times(block).execute(memory, ds, k, dq);
    }
  }

  private Tensor zeros(Tensor x, boolean wanted) {
    return wanted ? context.backend().zeros(x.dtype(), x.shape()) : null;
  }

  /** The f32 scores in the type of the other operand; at {@code narrow} if that is another type. */
  private long inType(Block b, long scores, long narrow) {
    if (b.dtype == DType.F32) {
      return scores;
    }
    Primitive convert =
        context
            .cache()
            .get(
                List.of("attention gradient: narrow", b),
                () -> {
                  try (Layout from = b.scores(DType.F32);
                      Layout to = b.scores(b.dtype)) {
                    return PrimitiveCache.reorder(from, to);
                  }
                });
    convert.execute(context.memory(), scores, narrow);
    return narrow;
  }

  /** [heads, rows, depth] x [heads, keys, depth]^T: scores in f32. */
  private Primitive timesTransposed(Block b) {
    return context
        .cache()
        .get(
            List.of("attention gradient: a b^T", b),
            () ->
                MatrixOps.batched(
                    b.sequence(b.dtype, b.rows),
                    b.transposed(b.dtype, b.keys),
                    b.scores(DType.F32)));
  }

  /** Scores times keys: [heads, rows, depth]. */
  private Primitive times(Block b) {
    return context
        .cache()
        .get(
            List.of("attention gradient: s b", b),
            () ->
                MatrixOps.batched(
                    b.scores(b.dtype), b.sequence(b.dtype, b.keys), b.sequence(b.dtype, b.rows)));
  }

  /** Adds {@code scores^T x} to an f32 sequence of keys. */
  private Primitive transposedTimes(Block b) {
    return context
        .cache()
        .get(
            List.of("attention gradient: s^T b", b),
            () -> {
              try (Layout scores = b.scoresTransposed(b.dtype);
                  Layout rows = b.sequence(b.dtype, b.rows);
                  Layout sums = b.sequence(DType.F32, b.keys);
                  Attributes attributes = new Attributes().accumulate()) {
                return Primitive.create(
                    "matmul",
                    (pd, attr) ->
                        dnnl_matmul_primitive_desc_create(
                            pd,
                            OneDnn.ENGINE,
                            scores.descriptor(),
                            rows.descriptor(),
                            null,
                            sums.descriptor(),
                            attr.build()),
                    attributes,
                    new int[] {DNNL_ARG_SRC_0, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
                    scores,
                    rows,
                    sums);
              }
            });
  }

  private Primitive softmax(Block b) {
    return context
        .cache()
        .get(
            List.of("attention gradient: softmax", b),
            () -> {
              try (Layout data = Layout.dense(DType.F32, b.heads * b.rows, b.keys);
                  Attributes attributes = new Attributes()) {
                return Primitive.create(
                    "softmax",
                    (pd, attr) ->
                        dnnl_softmax_forward_primitive_desc_create(
                            pd,
                            OneDnn.ENGINE,
                            dnnl_forward_training,
                            dnnl_softmax_accurate,
                            data.descriptor(),
                            data.descriptor(),
                            1,
                            attr.build()),
                    attributes,
                    new int[] {DNNL_ARG_SRC_0, DNNL_ARG_DST},
                    data,
                    data);
              }
            });
  }

  /** {@code dS = P (dP - rowsum(P dP))}. */
  private Primitive softmaxGradient(Block b) {
    return context
        .cache()
        .get(
            List.of("attention gradient: softmax gradient", b),
            () -> {
              try (Layout data = Layout.dense(DType.F32, b.heads * b.rows, b.keys);
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
