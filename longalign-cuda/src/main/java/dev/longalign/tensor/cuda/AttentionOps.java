package dev.longalign.tensor.cuda;

import static dev.longalign.tensor.cuda.CudaContext.suffix;
import static dev.longalign.tensor.cuda.CudaContext.wide;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;

/** Fused attention. */
final class AttentionOps {
  /**
   * One instance of attention_mma.cu.
   *
   * @param size the largest head it takes
   * @param scores its D
   * @param values its DV
   * @param queries its BQ
   * @param queriesPerWarp its WQ
   * @param groups its GROUPS
   * @param keys its BK
   */
  private record Tile(
      int size, int scores, int values, int queries, int queriesPerWarp, int groups, int keys) {
    int threads() {
      return queries / queriesPerWarp * groups * 32;
    }

    int shared() {
      int pitch = scores + 8;
      int pitchV = (values + 15) / 16 * 16 + 8;
      return (queries * pitch + STAGES * groups * keys * (pitch + pitchV)) * 2;
    }
  }

  /** {@code STAGES} of attention_mma.cu. */
  private static final int STAGES = 2;

  private static final Tile[] TILES = {
    new Tile(40, 48, 40, 128, 32, 1, 64),
    new Tile(64, 64, 64, 128, 32, 1, 64),
    new Tile(80, 80, 80, 128, 32, 2, 32),
    new Tile(128, 128, 128, 64, 16, 1, 64),
    new Tile(160, 160, 160, 64, 16, 2, 16),
    new Tile(512, 512, 128, 32, 16, 1, 16)
  };

  /**
   * One instance of attention_wgmma.cu.
   *
   * @param size the largest head it takes
   * @param values its DV
   * @param keys its KEYS
   * @param groups its GROUPS
   * @param stages its STAGES
   */
  private record HopperTile(int size, int values, int keys, int groups, int stages) {
    int queries() {
      return 64 * groups;
    }

    int threads() {
      return 128 * groups;
    }

    /**
     * Where heads are large, queries; then stages of K and V, {@code keys} rows in panels of 64
     * columns or 128 bytes, and an mbarrier each.
     */
    int shared() {
      int panels = (size + 63) / 64;
      int ofQueries = size <= KEPT_QUERIES ? 0 : queries() * panels * 128;
      return ofQueries + stages * ((panels + (values + 63) / 64) * keys * 128 + Long.BYTES);
    }
  }

  /** The largest head whose queries attention_wgmma.cu keeps in registers. */
  private static final int KEPT_QUERIES = 160;

  private static final HopperTile[] HOPPER_TILES = {
    new HopperTile(40, 40, 64, 2, 4),
    new HopperTile(64, 64, 128, 2, 4),
    new HopperTile(80, 80, 128, 2, 3),
    new HopperTile(128, 128, 64, 2, 4),
    new HopperTile(160, 160, 64, 1, 4),
    new HopperTile(512, 256, 32, 1, 3)
  };

  static final int[] F32_SIZES = {64, 160, 512};
  private static final int F32_QUERIES = 16;
  private static final int F32_KEYS = 32;

  private static final int MAX_SIZE = 512;
  private static final int WIDE = 1;
  private static final int CAUSAL = 2;

  private final CudaContext context;

  AttentionOps(CudaContext context) {
    this.context = context;
  }

  Tensor attention(Tensor q, Tensor k, Tensor v, int heads, float scale) {
    return attention(q, k, v, heads, scale, false);
  }

  Tensor causalAttention(Tensor q, Tensor k, Tensor v, int heads, float scale) {
    return attention(q, k, v, heads, scale, true);
  }

  /** The size of a head; complains if it is larger than the kernels take. */
  static int headSize(Tensor q, int heads) {
    int size = q.dim(2) / heads;
    if (size > MAX_SIZE) {
      throw new LongAlignException(
          "attention: heads of " + size + " elements; cuda takes up to " + MAX_SIZE);
    }
    return size;
  }

  /** The kernels' flags: whether rows can be read 16 bytes at a time, and whether causal. */
  static int flags(boolean wide, boolean causal) {
    return (wide ? WIDE : 0) | (causal ? CAUSAL : 0);
  }

  private Tensor attention(Tensor q, Tensor k, Tensor v, int heads, float scale, boolean causal) {
    int size = headSize(q, heads);
    if (q.dtype() != DType.F32 && size % 8 != 0) {
      // The tensor cores take 8 columns at a time; no known model has such heads.
      try (TensorScope scope = TensorScope.open()) {
        Tensor[] wide = {q.cast(DType.F32), k.cast(DType.F32), v.cast(DType.F32)};
        Tensor y = attention(wide[0], wide[1], wide[2], heads, scale, causal);
        return scope.keep(y.cast(q.dtype()));
      }
    }
    if (k.dim(1) == 0) {
      return context.backend().zeros(q.dtype(), q.shape());
    }
    Tensor y = context.allocateLike(q);
    if (y.shape().size() == 0) {
      return y;
    }
    context.log().computed((causal ? 2.0 : 4.0) * q.shape().size() * k.dim(1));
    long[] addresses = {context.address(q), context.address(k), context.address(v)};
    boolean wide = wide(q.dtype(), size, addresses);
    Launch launch;
    if (q.dtype() == DType.F32) {
      launch = fma(q, addresses, heads, size);
    } else if (wide && context.device().isHopper() && TensorMap.available()) {
      launch = wgmma(q, k, addresses, heads, size);
    } else {
      launch = mma(q, addresses, heads, size);
    }
    launch
        .address(context.address(y))
        .i32(q.dim(1))
        .i32(k.dim(1))
        .i32(heads)
        .i32(size)
        .f32(scale)
        .i32(flags(wide, causal))
        .run();
    return y;
  }

  private Launch mma(Tensor q, long[] addresses, int heads, int size) {
    int i = 0;
    while (TILES[i].size() < size) {
      i++;
    }
    Tile tile = TILES[i];
    int slices = (size + tile.values() - 1) / tile.values();
    return context
        .launch("attention_fwd" + suffix(q.dtype()) + "_" + tile.size())
        .grid((q.dim(1) + tile.queries() - 1) / tile.queries(), (long) heads * slices, q.dim(0))
        .threads(tile.threads())
        .shared(tile.shared())
        .addresses(addresses);
  }

  private Launch wgmma(Tensor q, Tensor k, long[] addresses, int heads, int size) {
    int i = 0;
    while (HOPPER_TILES[i].size() < size) {
      i++;
    }
    HopperTile tile = HOPPER_TILES[i];
    int slices = (size + tile.values() - 1) / tile.values();
    Launch launch =
        context
            .launch("attention_fwd" + suffix(q.dtype()) + "_hopper_" + tile.size())
            .grid((q.dim(1) + tile.queries() - 1) / tile.queries(), (long) heads * slices, q.dim(0))
            .threads(tile.threads())
            .shared(tile.shared())
            .address(addresses[0]);
    for (int operand = 1; operand < addresses.length; operand++) {
      launch.struct(
          TensorMap.ofHeads(
              k.dtype(), addresses[operand], k.dim(0), k.dim(1), heads, size, tile.keys()));
    }
    return launch;
  }

  private Launch fma(Tensor q, long[] addresses, int heads, int size) {
    int i = 0;
    while (F32_SIZES[i] < size) {
      i++;
    }
    int pitch = (size + 7) / 8 * 8 + 4;
    int shared = ((F32_QUERIES + F32_KEYS) * pitch + F32_QUERIES * F32_KEYS) * Float.BYTES;
    return context
        .launch("attention_fwd_f32_" + F32_SIZES[i])
        .grid((q.dim(1) + F32_QUERIES - 1) / F32_QUERIES, heads, q.dim(0))
        .threads(128)
        .shared(shared)
        .addresses(addresses);
  }
}
