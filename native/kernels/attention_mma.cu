// Attention of 16-bit types with an online softmax (Milakov and Gimelshein 2018; FlashAttention-2, Dao 2023): scores and
// probabilities never leave the registers, nor do the queries. Shared memory feeds the tensor cores too slowly for 16
// queries a warp, so small heads take 32: every fragment of K and V is used twice. The next keys and values arrive in the
// other of two buffers while these are computed, with one barrier a step.
#include "device.cuh"

constexpr float LOG2E = 1.4426950408889634f;
constexpr int STAGES = 2;
constexpr int WIDE = 1;
constexpr int CAUSAL = 2;
// Sums are scaled down when a row's largest score has grown by 2^8, not at each step; the result is the same.
constexpr float GROWTH = 8;

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

  // What a lane knows of its rows: lane / 4, + 8, + 16, ... of the warp.
  float sums[TILES_Q][TILES_O][4];
  float reference[TILES_Q][2];  // what probabilities are relative to, in powers of 2
  float total[TILES_Q][2];      // of probabilities, this lane's part

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

  // Scores become probabilities, relative to the largest of their rows so far.
  DEVICE void softmax(float (&scores)[TILES_S][4], int m, float scale2) {
    float highest[2];
    bool grown = false;
    UNROLL
    for (int half = 0; half < 2; half++) {
      float h = MINUS_INFINITY;
      UNROLL
      for (int j = 0; j < TILES_S; j++) {
        h = fmaxf(h, fmaxf(scores[j][half * 2], scores[j][half * 2 + 1]));
      }
      h = fmaxf(h, shfl_xor(h, 1));
      h = fmaxf(h, shfl_xor(h, 2)) * scale2;
      grown |= h > reference[m][half] + GROWTH;
      highest[half] = fmaxf(reference[m][half], h);
    }
    if (warp_ballot(grown) != 0) {
      UNROLL
      for (int half = 0; half < 2; half++) {
        float shrink = highest[half] == MINUS_INFINITY ? 1.0f : fast_exp2(reference[m][half] - highest[half]);
        reference[m][half] = highest[half];
        total[m][half] *= shrink;
        UNROLL
        for (int j = 0; j < TILES_O; j++) {
          sums[m][j][half * 2] *= shrink;
          sums[m][j][half * 2 + 1] *= shrink;
        }
      }
    }
    UNROLL
    for (int half = 0; half < 2; half++) {
      // A row of nothing but -infinity keeps a finite reference: its probabilities become 0 / 0, as they should.
      float minus = reference[m][half] == MINUS_INFINITY ? 0.0f : -reference[m][half];
      UNROLL
      for (int j = 0; j < TILES_S; j++) {
        UNROLL
        for (int r = half * 2; r < half * 2 + 2; r++) {
          scores[j][r] = fast_exp2(fmaf(scores[j][r], scale2, minus));
          total[m][half] += scores[j][r];
        }
      }
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
    int lane = lane_id();
    u32 p[BK / 16][TILES_Q][4];
    UNROLL
    for (int m = 0; m < TILES_Q; m++) {
      if (key + BK > min(keys, first + m * 16 + 1)) {
        int seen = first + m * 16 + lane / 4 + 1;
        UNROLL
        for (int i = 0; i < TILES_S * 4; i++) {
          if (key + i / 4 * 8 + lane % 4 * 2 + i % 2 >= min(keys, seen + i % 4 / 2 * 8)) {
            scores[m][i / 4][i % 4] = MINUS_INFINITY;
          }
        }
      }
      softmax(scores[m], m, scale2);
      UNROLL
      for (int i = 0; i < BK / 16; i++) {
        UNROLL
        for (int r = 0; r < 4; r++) {
          const float* pair = scores[m][2 * i + r / 2] + r % 2 * 2;
          p[i][m][r] = Half<T>::pack(pair[0], pair[1]);
        }
      }
    }
    UNROLL
    for (int i = 0; i < BK / 16; i++) {
      const u16* rows = tileV + i * 16 * PITCH_V;
      UNROLL
      for (int j = 0; j < TILES_O / 2 * 2; j += 2) {
        u32 b[4];
        load_b2_transposed(b, rows + j * 8, PITCH_V);
        UNROLL
        for (int m = 0; m < TILES_Q; m++) {
          Half<T>::mma(sums[m][j], p[i][m], b[0], b[1]);
          Half<T>::mma(sums[m][j + 1], p[i][m], b[2], b[3]);
        }
      }
      if (TILES_O % 2 != 0) {
        u32 b[2];
        load_b_transposed(b, rows + (TILES_O - 1) * 8, PITCH_V);
        UNROLL
        for (int m = 0; m < TILES_Q; m++) {
          Half<T>::mma(sums[m][TILES_O - 1], p[i][m], b[0], b[1]);
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
    constexpr int VALUES = TILES_Q * (TILES_O * 4 + 4);
    float* mine = shared + warpQ * VALUES * 32 + lane_id();  // [VALUES][32 lanes]
    UNROLL
    for (int g = 1; g < GROUPS; g++) {
      BARRIER();
      if (group == g) {
        UNROLL
        for (int m = 0; m < TILES_Q; m++) {
          float* to = mine + m * (TILES_O * 4 + 4) * 32;
          UNROLL
          for (int i = 0; i < TILES_O * 4; i++) {
            to[i * 32] = sums[m][i / 4][i % 4];
          }
          UNROLL
          for (int half = 0; half < 2; half++) {
            to[(TILES_O * 4 + half) * 32] = reference[m][half];
            to[(TILES_O * 4 + 2 + half) * 32] = total[m][half];
          }
        }
      }
      BARRIER();
      if (group == 0) {
        UNROLL
        for (int m = 0; m < TILES_Q; m++) {
          const float* from = mine + m * (TILES_O * 4 + 4) * 32;
          UNROLL
          for (int half = 0; half < 2; half++) {
            float other = from[(TILES_O * 4 + half) * 32];
            float highest = fmaxf(reference[m][half], other);
            float minus = highest == MINUS_INFINITY ? 0.0f : -highest;
            float here = fast_exp2(reference[m][half] + minus);
            float there = fast_exp2(other + minus);
            reference[m][half] = highest;
            total[m][half] = total[m][half] * here + from[(TILES_O * 4 + 2 + half) * 32] * there;
            UNROLL
            for (int i = 0; i < TILES_O * 2; i++) {
              float& sum = sums[m][i / 2][half * 2 + i % 2];
              sum = sum * here + from[(i / 2 * 4 + half * 2 + i % 2) * 32] * there;
            }
          }
        }
      }
    }
  }

  // y: of this warp's first query, of which `rows` exist.
  DEVICE void store(T* y, i64 width, int rows, int columns) const {
    int lane = lane_id();
    UNROLL
    for (int m = 0; m < TILES_Q; m++) {
      UNROLL
      for (int half = 0; half < 2; half++) {
        float all = total[m][half];
        all += shfl_xor(all, 1);
        all += shfl_xor(all, 2);
        int row = m * 16 + half * 8 + lane / 4;
        if (row >= rows) {
          continue;
        }
        float factor = 1.0f / all;
        UNROLL
        for (int j = 0; j < TILES_O; j++) {
          int column = j * 8 + lane % 4 * 2;
          if (column < columns) {
            Pack<T, 2> two;
            two.at[0] = from_float<T>(sums[m][j][half * 2] * factor);
            two.at[1] = from_float<T>(sums[m][j][half * 2 + 1] * factor);
            *(Pack<T, 2>*)(y + row * width + column) = two;
          }
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
    // The largest score must give the largest exponent.
    u32 sign = scale < 0 ? 0x80008000u : 0;
    int wide = flags & WIDE;
    // What the block's last query sees; and from where on a warp's first does not.
    int end = flags & CAUSAL ? min(keys, query0 + BQ) : keys;
    int first = flags & CAUSAL ? query0 + warpQ * WQ : 0x3fffffff;
    float scale2 = scale == 0 ? 1e-30f : (scale < 0 ? -scale : scale) * LOG2E;

    load<BQ, D, PITCH>(sharedQ, q, width, queries - query0, size, wide);
    load<KEYS, D, PITCH>(sharedK, k, width, keys, size, wide);
    load<KEYS, DV, PITCH_V>(sharedV, v, width, keys, columnsV, wide);
    copy_commit();
    UNROLL
    for (int i = 0; i < TILES_Q * TILES_O * 4; i++) {
      sums[i / (TILES_O * 4)][i / 4 % TILES_O][i % 4] = 0;
    }
    UNROLL
    for (int i = 0; i < TILES_Q * 2; i++) {
      reference[i / 2][i % 2] = MINUS_INFINITY;
      total[i / 2][i % 2] = 0;
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
      store(y + warpQ * WQ * width, width, queries - query0 - warpQ * WQ, columnsV);
    }
  }
};

#define ATTENTION(T, D, DV, BQ, WQ, GROUPS, BK, NAME, BLOCKS)                                                          \
  KERNEL(attention_fwd_##T##_##NAME, (BQ / WQ * GROUPS * 32), BLOCKS,                                                  \
         (const T* q, const T* k, const T* v, T* y, int queries, int keys, int heads, int size, float scale, int flags)) { \
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
