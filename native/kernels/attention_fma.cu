// Attention in f32 with an online softmax, on plain FMA. A warp has 4 queries; in the scores a lane is a key, in the
// products with V it is every 32nd column.
#include "device.cuh"

constexpr int WARPS = 4;
constexpr int QUERIES = 4;
constexpr int BQ = WARPS * QUERIES;
constexpr int BK = 32;
constexpr int CAUSAL = 2;
typedef Pack<float, 4> Four;

// COLUMNS: of V per lane; heads have at most 32 * COLUMNS elements.
template <int COLUMNS>
DEVICE void attention(const float* q, const float* k, const float* v, float* y, int queries, int keys, int heads, int size,
                      float scale, int flags) {
  SHARED_BYTES(shared);
  int padded = round_up(size, 4);
  int pitch = round_up(size, 8) + 4;  // 16-byte accesses of 8 rows meet every bank once
  float* sharedQ = (float*)shared;            // [BQ][pitch]
  float* tile = sharedQ + BQ * pitch;         // [BK][pitch]: K, then V
  float* weights = tile + BK * pitch;         // [WARPS][BK][QUERIES]
  int lane = lane_id();
  int warp = threadIdx.x / 32;
  int query0 = blockIdx.x * BQ;
  i64 width = (i64)heads * size;
  i64 offset = (i64)blockIdx.y * size;
  q += ((i64)blockIdx.z * queries + query0) * width + offset;
  y += ((i64)blockIdx.z * queries + query0) * width + offset;
  k += (i64)blockIdx.z * keys * width + offset;
  v += (i64)blockIdx.z * keys * width + offset;

  for (int row = warp; row < BQ; row += WARPS) {
    for (int c = lane; c < padded; c += 32) {
      sharedQ[row * pitch + c] = query0 + row < queries && c < size ? q[row * width + c] : 0.0f;
    }
  }
  float sums[QUERIES][COLUMNS];
  float largest[QUERIES];
  float total[QUERIES];
  UNROLL
  for (int i = 0; i < QUERIES; i++) {
    largest[i] = MINUS_INFINITY;
    total[i] = 0;
    UNROLL
    for (int c = 0; c < COLUMNS; c++) {
      sums[i][c] = 0;
    }
  }
  bool causal = (flags & CAUSAL) != 0;
  int end = causal ? min(keys, query0 + BQ) : keys;
  for (int key0 = 0; key0 < end; key0 += BK) {
    int here = min(BK, end - key0);
    BARRIER();  // all are done with V
    for (int row = warp; row < here; row += WARPS) {
      for (int c = lane; c < padded; c += 32) {
        tile[row * pitch + c] = c < size ? k[(i64)(key0 + row) * width + c] : 0.0f;
      }
    }
    BARRIER();
    float scores[QUERIES];
    UNROLL
    for (int i = 0; i < QUERIES; i++) {
      scores[i] = 0;
    }
    if (lane < here) {
      for (int c = 0; c < padded; c += 4) {
        Four key = *(const Four*)(tile + lane * pitch + c);
        UNROLL
        for (int i = 0; i < QUERIES; i++) {
          Four query = *(const Four*)(sharedQ + (warp * QUERIES + i) * pitch + c);
          UNROLL
          for (int j = 0; j < 4; j++) {
            scores[i] += query.at[j] * key.at[j];
          }
        }
      }
    }
    UNROLL
    for (int i = 0; i < QUERIES; i++) {
      bool sees = lane < here && (!causal || key0 + lane <= query0 + warp * QUERIES + i);
      float score = sees ? scores[i] * scale : MINUS_INFINITY;
      float highest = fmaxf(largest[i], warp_max(score));
      float reference = highest == MINUS_INFINITY ? 0.0f : highest;
      float shrink = fast_exp(largest[i] - reference);
      float weight = fast_exp(score - reference);
      largest[i] = highest;
      total[i] = total[i] * shrink + weight;
      weights[(warp * BK + lane) * QUERIES + i] = weight;
      UNROLL
      for (int c = 0; c < COLUMNS; c++) {
        sums[i][c] *= shrink;
      }
    }
    BARRIER();  // all are done with K, the weights are there
    for (int row = warp; row < here; row += WARPS) {
      for (int c = lane; c < size; c += 32) {
        tile[row * pitch + c] = v[(i64)(key0 + row) * width + c];
      }
    }
    BARRIER();
    for (int key = 0; key < here; key++) {
      Four weight = *(const Four*)(weights + (warp * BK + key) * QUERIES);
      UNROLL
      for (int c = 0; c < COLUMNS; c++) {
        if (c * 32 + lane < size) {
          float value = tile[key * pitch + c * 32 + lane];
          UNROLL
          for (int i = 0; i < QUERIES; i++) {
            sums[i][c] += weight.at[i] * value;
          }
        }
      }
    }
  }
  UNROLL
  for (int i = 0; i < QUERIES; i++) {
    float factor = 1.0f / warp_sum(total[i]);
    int row = warp * QUERIES + i;
    if (query0 + row < queries) {
      UNROLL
      for (int c = 0; c < COLUMNS; c++) {
        if (c * 32 + lane < size) {
          y[row * width + c * 32 + lane] = sums[i][c] * factor;
        }
      }
    }
  }
}

#define ATTENTION(SIZE)                                                                                               \
  KERNEL(attention_fwd_f32_##SIZE, 128, 1,                                                                            \
         (const float* q, const float* k, const float* v, float* y, int queries, int keys, int heads, int size,       \
          float scale, int flags)) {                                                                                  \
    after_kernels_before();                                                                                           \
    attention<SIZE / 32>(q, k, v, y, queries, keys, heads, size, scale, flags);                                       \
  }

ATTENTION(64)
ATTENTION(160)
ATTENTION(512)
