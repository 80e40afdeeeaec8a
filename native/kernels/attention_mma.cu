// Attention of 16-bit types with an online softmax (Milakov and Gimelshein 2018; FlashAttention-2, Dao 2023): scores and
// probabilities never leave the registers, nor do the queries. Shared memory feeds the tensor cores too slowly for 16
// queries a warp, so small heads take 32: every fragment of K and V is used twice. The next keys and values arrive in the
// other of two buffers while these are computed, with one barrier a step.
#include "attention.cuh"

constexpr int STAGES = 2;

// D: the head size that scores are computed for, a multiple of 16; smaller heads are filled up with zeros.
// DV: how many columns of V a block computes, a multiple of 8; larger heads take several blocks (blockIdx.y counts
// heads * slices).
// BQ: queries of a block, WQ of them in a warp. GROUPS of warps share the keys of a step, BK each.
template <class T, int D, int DV, int BQ, int WQ, int GROUPS, int BK>
struct Attention {
  static constexpr int WARPS_Q = BQ / WQ;
  static constexpr int THREADS = WARPS_Q * GROUPS * 32;
  static constexpr int KEYS = GROUPS * BK;
  static constexpr int PITCH = D + 8;
  static constexpr int PITCH_V = (DV + 15) / 16 * 16 + 8;
  static constexpr int TILES_Q = WQ / 16;
  static constexpr int TILES_S = BK / 8;
  static constexpr int TILES_O = DV / 8;
  static constexpr bool KEEP_Q = D <= 160;
  static constexpr int SHARED = (BQ * PITCH + STAGES * KEYS * (PITCH + PITCH_V)) * (int)sizeof(T);
  static_assert(GROUPS == 1 || WARPS_Q * TILES_Q * (TILES_O * 4 + 4) * 32 * 4 <= SHARED, "merge needs more than the tiles");

  Queries<T, TILES_O> rows[TILES_Q];

  // ROWS rows of COLUMNS elements; rows from `valid` on and columns from `size` on become zeros.
  template <int ROWS, int COLUMNS, int TO_PITCH>
  static DEVICE void load(T* to, const T* from, i64 pitch, int valid, int size, int wide) {
    constexpr int CHUNKS = COLUMNS / 8;
    constexpr int LANES = CHUNKS <= 8 ? 8 : CHUNKS <= 16 ? 16 : CHUNKS <= 32 ? 32 : 64;  // of a row; some may be idle
    int column = threadIdx.x % LANES * 8;
    int first = threadIdx.x / LANES;
    if (column >= COLUMNS) {
      return;
    }
    to += first * TO_PITCH + column;
    const T* source = from + first * pitch + column;
    UNROLL
    for (int row = 0; row < ROWS; row += THREADS / LANES) {
      bool use = first + row < valid && column < size;
      if (wide) {
        copy_async16(to + row * TO_PITCH, use ? source : from, use);
      } else {
        Pack<T, 8> eight;
        UNROLL
        for (int j = 0; j < 8; j++) {
          eight.at[j] = use && column + j < size ? source[j] : T{0};
        }
        *(Pack<T, 8>*)(to + row * TO_PITCH) = eight;
      }
      source += THREADS / LANES * pitch;
    }
  }

  // BK keys of a step, from `key` on, of which those below `keys` exist; row r of the warp sees those up to first + r.
  DEVICE void step(u32 (&fragmentsQ)[KEEP_Q ? D / 16 : 1][TILES_Q][4], const u16* tileQ, const u16* tileK, const u16* tileV,
                   int key, int keys, int first, u32 sign, float scale2) {
    float scores[TILES_Q][TILES_S][4];
    UNROLL
    for (int i = 0; i < TILES_Q * TILES_S * 4; i++) {
      scores[i / (TILES_S * 4)][i / 4 % TILES_S][i % 4] = 0;
    }
    UNROLL
    for (int d = 0; d < D / 16; d++) {
      if (!KEEP_Q) {
        load_queries(fragmentsQ[0], tileQ + d * 16, sign);
      }
      UNROLL
      for (int j = 0; j < TILES_S; j += 2) {
        u32 b[4];
        load_b2(b, tileK + j * 8 * PITCH + d * 16, PITCH);
        UNROLL
        for (int m = 0; m < TILES_Q; m++) {
          Half<T>::mma(scores[m][j], fragmentsQ[KEEP_Q ? d : 0][m], b[0], b[1]);
          Half<T>::mma(scores[m][j + 1], fragmentsQ[KEEP_Q ? d : 0][m], b[2], b[3]);
        }
      }
    }
    u32 p[TILES_Q][BK / 16][4];
    UNROLL
    for (int m = 0; m < TILES_Q; m++) {
      rows[m].mask(scores[m], key, keys, first + m * 16);
      float shrink[2];
      if (rows[m].softmax(scores[m], shrink, scale2)) {
        rows[m].scale_sums(shrink);
      }
      rows[m].pack(p[m], scores[m]);
    }
    UNROLL
    for (int i = 0; i < BK / 16; i++) {
      const u16* of16 = tileV + i * 16 * PITCH_V;
      UNROLL
      for (int j = 0; j < TILES_O / 2 * 2; j += 2) {
        u32 b[4];
        load_b2_transposed(b, of16 + j * 8, PITCH_V);
        UNROLL
        for (int m = 0; m < TILES_Q; m++) {
          Half<T>::mma(rows[m].sums[j], p[m][i], b[0], b[1]);
          Half<T>::mma(rows[m].sums[j + 1], p[m][i], b[2], b[3]);
        }
      }
      if (TILES_O % 2 != 0) {
        u32 b[2];
        load_b_transposed(b, of16 + (TILES_O - 1) * 8, PITCH_V);
        UNROLL
        for (int m = 0; m < TILES_Q; m++) {
          Half<T>::mma(rows[m].sums[TILES_O - 1], p[m][i], b[0], b[1]);
        }
      }
    }
  }

  // Of 16 columns of Q, with the sign of the scale.
  static DEVICE void load_queries(u32 (&a)[TILES_Q][4], const u16* tile, u32 sign) {
    UNROLL
    for (int m = 0; m < TILES_Q; m++) {
      load_a(a[m], tile + m * 16 * PITCH, PITCH);
      UNROLL
      for (int r = 0; r < 4; r++) {
        a[m][r] ^= sign;
      }
    }
  }

  // Adds what the other groups of warps have found to what the first has.
  DEVICE void merge(float* shared, int warpQ, int group) {
    constexpr int VALUES = Queries<T, TILES_O>::VALUES;
    float* mine = shared + warpQ * TILES_Q * VALUES * 32 + lane_id();  // [TILES_Q][VALUES][32 lanes]
    UNROLL
    for (int g = 1; g < GROUPS; g++) {
      BARRIER();
      if (group == g) {
        UNROLL
        for (int m = 0; m < TILES_Q; m++) {
          rows[m].give(mine + m * VALUES * 32, 32);
        }
      }
      BARRIER();
      if (group == 0) {
        UNROLL
        for (int m = 0; m < TILES_Q; m++) {
          rows[m].take(mine + m * VALUES * 32, 32);
        }
      }
    }
  }

  DEVICE void run(const T* q, const T* k, const T* v, T* y, int queries, int keys, int heads, int size, float scale,
                  int flags) {
    SHARED_BYTES(shared);
    declare_shared<SHARED>();
    T* sharedQ = (T*)shared;                     // [BQ][PITCH]
    T* sharedK = sharedQ + BQ * PITCH;           // [STAGES][KEYS][PITCH]
    T* sharedV = sharedK + STAGES * KEYS * PITCH;  // [STAGES][KEYS][PITCH_V]
    int slices = (size + DV - 1) / DV;
    int head = blockIdx.y / slices;
    int firstV = (blockIdx.y - head * slices) * DV;
    int query0 = blockIdx.x * BQ;
    i64 width = (i64)heads * size;
    i64 offset = (i64)head * size;
    q += ((i64)blockIdx.z * queries + query0) * width + offset;
    y += ((i64)blockIdx.z * queries + query0) * width + offset + firstV;
    k += (i64)blockIdx.z * keys * width + offset;
    v += (i64)blockIdx.z * keys * width + offset + firstV;
    int columnsV = min(DV, size - firstV);
    int warp = threadIdx.x / 32;
    int warpQ = warp % WARPS_Q;
    int group = warp / WARPS_Q;
    u32 sign = sign_of(scale);
    int wide = flags & WIDE;
    // What the block's last query sees; and from where on a warp's first does not.
    int end = flags & CAUSAL ? min(keys, query0 + BQ) : keys;
    int first = flags & CAUSAL ? query0 + warpQ * WQ : 0x3fffffff;
    float scale2 = scale_of_powers(scale);

    load<BQ, D, PITCH>(sharedQ, q, width, queries - query0, size, wide);
    load<KEYS, D, PITCH>(sharedK, k, width, keys, size, wide);
    load<KEYS, DV, PITCH_V>(sharedV, v, width, keys, columnsV, wide);
    copy_commit();
    UNROLL
    for (int m = 0; m < TILES_Q; m++) {
      rows[m].clear();
    }
    const u16* tileQ = (const u16*)(sharedQ + warpQ * WQ * PITCH);
    u32 fragmentsQ[KEEP_Q ? D / 16 : 1][TILES_Q][4];

    for (int key0 = 0; key0 < end; key0 += KEYS) {
      copy_wait<0>();
      BARRIER();  // this stage has arrived for all, and all are done with the other
      int stage = key0 / KEYS % STAGES;
      if (KEEP_Q && key0 == 0) {
        UNROLL
        for (int d = 0; d < D / 16; d++) {
          load_queries(fragmentsQ[d], tileQ + d * 16, sign);
        }
      }
      int next = key0 + KEYS;
      if (next < end) {
        load<KEYS, D, PITCH>(sharedK + (STAGES - 1 - stage) * KEYS * PITCH, k + next * width, width, keys - next, size, wide);
        load<KEYS, DV, PITCH_V>(sharedV + (STAGES - 1 - stage) * KEYS * PITCH_V, v + next * width, width, keys - next,
                                columnsV, wide);
      }
      copy_commit();
      step(fragmentsQ, tileQ, (const u16*)(sharedK + (stage * KEYS + group * BK) * PITCH),
           (const u16*)(sharedV + (stage * KEYS + group * BK) * PITCH_V), key0 + group * BK, keys, first, sign, scale2);
    }

    merge((float*)shared, warpQ, group);
    if (group == 0) {
      UNROLL
      for (int m = 0; m < TILES_Q; m++) {
        int row = warpQ * WQ + m * 16;
        rows[m].store(y + row * width, width, queries - query0 - row, columnsV);
      }
    }
  }
};

#define ATTENTION(T, D, DV, BQ, WQ, GROUPS, BK, NAME, BLOCKS)                                                          \
  KERNEL(attention_fwd_##T##_##NAME, (BQ / WQ * GROUPS * 32), BLOCKS,                                                  \
         (const T* q, const T* k, const T* v, T* y, int queries, int keys, int heads, int size, float scale, int flags)) { \
    after_kernels_before();                                                                                                \
    Attention<T, D, DV, BQ, WQ, GROUPS, BK> attention;                                                                 \
    attention.run(q, k, v, y, queries, keys, heads, size, scale, flags);                                               \
  }
#define ATTENTIONS(T)                            \
  ATTENTION(T, 48, 40, 128, 32, 1, 64, 40, 3)    \
  ATTENTION(T, 64, 64, 128, 32, 1, 64, 64, 2)    \
  ATTENTION(T, 80, 80, 128, 32, 2, 32, 80, 1)    \
  ATTENTION(T, 128, 128, 64, 16, 1, 64, 128, 2)  \
  ATTENTION(T, 160, 160, 64, 16, 2, 16, 160, 1)  \
  ATTENTION(T, 512, 128, 32, 16, 1, 16, 512, 3)

ATTENTIONS(bf16)
ATTENTIONS(f16)
