// Attention of 16-bit types with an online softmax (Milakov and Gimelshein 2018; FlashAttention-2, Dao 2023): scores and
// probabilities never leave the registers. A block has BQ queries of one head, 16 per warp, and walks over the keys, BK at
// a time. K of the next step arrives while P V is computed, V while the scores are.
#include "device.cuh"

constexpr float LOG2E = 1.4426950408889634f;
constexpr int WIDE = 1;
constexpr int CAUSAL = 2;

// D: the head size that scores are computed for, a multiple of 16; smaller heads are filled up with zeros.
// DV: how many columns of V a block computes, a multiple of 8; larger heads take several blocks (blockIdx.y counts
// heads * slices).
template <class T, int D, int DV, int BQ, int BK>
struct Attention {
  static constexpr int THREADS = BQ * 2;
  static constexpr int PITCH = D + 8;
  static constexpr int PITCH_V = (DV + 15) / 16 * 16 + 8;
  static constexpr int TILES_S = BK / 8;
  static constexpr int TILES_O = DV / 8;

  // ROWS rows of `columns` elements; rows from `valid` on and columns from `size` on become zeros.
  template <int ROWS, int COLUMNS, int TO_PITCH>
  static DEVICE void load(T* to, const T* from, i64 pitch, int valid, int size, int wide) {
    constexpr int CHUNKS = COLUMNS / 8;
    for (int i = threadIdx.x; i < ROWS * CHUNKS; i += THREADS) {
      int row = i / CHUNKS;
      int column = i % CHUNKS * 8;
      T* target = to + row * TO_PITCH + column;
      const T* source = from + row * pitch + column;
      if (wide) {
        bool use = row < valid && column < size;
        copy_async16(target, use ? source : from, use);
      } else {
        Pack<T, 8> eight;
        UNROLL
        for (int j = 0; j < 8; j++) {
          eight.at[j] = row < valid && column + j < size ? source[j] : T{0};
        }
        *(Pack<T, 8>*)target = eight;
      }
    }
  }

  static DEVICE void run(const T* q, const T* k, const T* v, T* y, int queries, int keys, int heads, int size, float scale,
                         int flags) {
    SHARED_BYTES(shared);
    T* sharedQ = (T*)shared;                // [BQ][PITCH]
    T* sharedK = sharedQ + BQ * PITCH;      // [BK][PITCH]
    T* sharedV = sharedK + BK * PITCH;      // [BK][PITCH_V]
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
    int lane = lane_id();
    int warp = threadIdx.x / 32;
    float scale2 = scale * LOG2E;
    int wide = flags & WIDE;
    bool causal = (flags & CAUSAL) != 0;
    int end = causal ? min(keys, query0 + BQ) : keys;

    load<BQ, D, PITCH>(sharedQ, q, width, queries - query0, size, wide);
    load<BK, D, PITCH>(sharedK, k, width, keys, size, wide);
    copy_commit();

    float sums[TILES_O][4];
    UNROLL
    for (int j = 0; j < TILES_O; j++) {
      UNROLL
      for (int r = 0; r < 4; r++) {
        sums[j][r] = 0;
      }
    }
    float largest[2] = {MINUS_INFINITY, MINUS_INFINITY};  // of rows lane / 4 and lane / 4 + 8, times scale2
    float total[2] = {0, 0};                    // this lane's part
    const u16* fragmentsQ = (const u16*)(sharedQ + warp * 16 * PITCH);

    for (int key0 = 0; key0 < end; key0 += BK) {
      load<BK, DV, PITCH_V>(sharedV, v + key0 * width, width, keys - key0, columnsV, wide);
      copy_commit();
      copy_wait<1>();
      BARRIER();  // Q and K are there
      float scores[TILES_S][4];
      UNROLL
      for (int j = 0; j < TILES_S; j++) {
        UNROLL
        for (int r = 0; r < 4; r++) {
          scores[j][r] = 0;
        }
      }
      UNROLL
      for (int d = 0; d < D; d += 16) {
        u32 a[4];
        load_a(a, fragmentsQ + d, PITCH);
        UNROLL
        for (int j = 0; j < TILES_S; j += 2) {
          u32 b[4];
          load_b2(b, (const u16*)sharedK + j * 8 * PITCH + d, PITCH);
          Half<T>::mma(scores[j], a, b[0], b[1]);
          Half<T>::mma(scores[j + 1], a, b[2], b[3]);
        }
      }
      BARRIER();  // all are done with K
      if (key0 + BK < end) {
        load<BK, D, PITCH>(sharedK, k + (key0 + BK) * width, width, keys - key0 - BK, size, wide);
      }
      copy_commit();

      UNROLL
      for (int half = 0; half < 2; half++) {
        int query = query0 + warp * 16 + half * 8 + lane / 4;
        int visible = causal ? min(keys, query + 1) : keys;
        float highest = largest[half];
        UNROLL
        for (int j = 0; j < TILES_S; j++) {
          UNROLL
          for (int r = 0; r < 2; r++) {
            float& score = scores[j][half * 2 + r];
            int key = key0 + j * 8 + lane % 4 * 2 + r;
            score = key < visible ? score * scale2 : MINUS_INFINITY;
            highest = fmaxf(highest, score);
          }
        }
        highest = fmaxf(highest, shfl_xor(highest, 1));
        highest = fmaxf(highest, shfl_xor(highest, 2));
        // A row of nothing but -infinity keeps a finite reference: its probabilities become 0 / 0, as they should.
        float reference = highest == MINUS_INFINITY ? 0.0f : highest;
        float shrink = fast_exp2(largest[half] - reference);
        largest[half] = highest;
        total[half] *= shrink;
        UNROLL
        for (int j = 0; j < TILES_O; j++) {
          sums[j][half * 2] *= shrink;
          sums[j][half * 2 + 1] *= shrink;
        }
        UNROLL
        for (int j = 0; j < TILES_S; j++) {
          UNROLL
          for (int r = 0; r < 2; r++) {
            float& score = scores[j][half * 2 + r];
            score = fast_exp2(score - reference);
            total[half] += score;
          }
        }
      }

      copy_wait<1>();
      BARRIER();  // V is there
      UNROLL
      for (int i = 0; i < BK / 16; i++) {
        u32 p[4];
        p[0] = Half<T>::pack(scores[2 * i][0], scores[2 * i][1]);
        p[1] = Half<T>::pack(scores[2 * i][2], scores[2 * i][3]);
        p[2] = Half<T>::pack(scores[2 * i + 1][0], scores[2 * i + 1][1]);
        p[3] = Half<T>::pack(scores[2 * i + 1][2], scores[2 * i + 1][3]);
        UNROLL
        for (int j = 0; j < TILES_O; j++) {
          u32 b[2];
          load_b_transposed(b, (const u16*)sharedV + i * 16 * PITCH_V + j * 8, PITCH_V);
          Half<T>::mma(sums[j], p, b[0], b[1]);
        }
      }
      BARRIER();  // all are done with V
    }

    UNROLL
    for (int half = 0; half < 2; half++) {
      float all = total[half];
      all += shfl_xor(all, 1);
      all += shfl_xor(all, 2);
      int row = warp * 16 + half * 8 + lane / 4;
      if (query0 + row >= queries) {
        continue;
      }
      float factor = 1.0f / all;
      UNROLL
      for (int j = 0; j < TILES_O; j++) {
        int column = j * 8 + lane % 4 * 2;
        if (column < columnsV) {
          Pack<T, 2> two;
          two.at[0] = from_float<T>(sums[j][half * 2] * factor);
          two.at[1] = from_float<T>(sums[j][half * 2 + 1] * factor);
          *(Pack<T, 2>*)(y + row * width + column) = two;
        }
      }
    }
  }
};

#define ATTENTION(T, D, DV, BQ, BK, NAME)                                                                              \
  KERNEL(attention_fwd_##T##_##NAME, (BQ * 2), 1,                                                                      \
         (const T* q, const T* k, const T* v, T* y, int queries, int keys, int heads, int size, float scale, int flags)) { \
    Attention<T, D, DV, BQ, BK>::run(q, k, v, y, queries, keys, heads, size, scale, flags);                            \
  }
#define ATTENTIONS(T)               \
  ATTENTION(T, 48, 40, 64, 64, 40)  \
  ATTENTION(T, 64, 64, 64, 64, 64)  \
  ATTENTION(T, 80, 80, 64, 64, 80)  \
  ATTENTION(T, 128, 128, 64, 64, 128) \
  ATTENTION(T, 160, 160, 64, 64, 160) \
  ATTENTION(T, 512, 128, 32, 32, 512)

ATTENTIONS(bf16)
ATTENTIONS(f16)
