// The derivative of attention in f32, on plain FMA: the three kernels of attention_bwd_mma.cu. A warp has R rows of what a
// block holds; in the scores a lane is a row of what passes, in the sums it is every 32nd column of the head.
#include "device.cuh"

constexpr int CAUSAL = 2;
constexpr int STATISTICS = 0;
constexpr int QUERIES = 1;
constexpr int KEYS = 2;
constexpr int WARPS = 4;
constexpr int THREADS = WARPS * 32;
constexpr int BN = 32;
typedef Pack<float, 4> Four;

struct Problem {
  const float *q, *k, *v, *dy;
  float *sums, *deltas;  // [batch][heads][queries]; sums as logarithms
  int queries, keys, heads, size;
  float scale;
  int flags;
};

// COLUMNS: of the head per lane; heads have at most 32 * COLUMNS elements.
template <int COLUMNS, int R, int MODE>
struct Gradient {
  static constexpr int BM = WARPS * R;
  typedef float Sums[R][COLUMNS];

  static DEVICE void load(float* to, const float* from, int rows, int valid, i64 width, int size, int pitch) {
    int padded = round_up(size, 4);
    for (int row = threadIdx.x / 32; row < rows; row += WARPS) {
      for (int c = lane_id(); c < padded; c += 32) {
        to[row * pitch + c] = row < valid && c < size ? from[row * width + c] : 0.0f;
      }
    }
  }

  // Of each of the warp's rows with the lane's row of the tile.
  static DEVICE void multiply(float (&scores)[R], const float* held, const float* tile, int size, int pitch) {
    UNROLL
    for (int i = 0; i < R; i++) {
      scores[i] = 0;
    }
    int padded = round_up(size, 4);
    for (int c = 0; c < padded; c += 4) {
      Four other = *(const Four*)(tile + lane_id() * pitch + c);
      UNROLL
      for (int i = 0; i < R; i++) {
        Four own = *(const Four*)(held + i * pitch + c);
        UNROLL
        for (int j = 0; j < 4; j++) {
          scores[i] += own.at[j] * other.at[j];
        }
      }
    }
  }

  // weights: [BN][R] of this warp.
  static DEVICE void accumulate(Sums& sums, const float* weights, const float* tile, int size, int pitch) {
    for (int row = 0; row < BN; row++) {
      Pack<float, R> weight = *(const Pack<float, R>*)(weights + row * R);
      UNROLL
      for (int c = 0; c < COLUMNS; c++) {
        if (c * 32 + lane_id() < size) {
          float value = tile[row * pitch + c * 32 + lane_id()];
          UNROLL
          for (int i = 0; i < R; i++) {
            sums[i][c] += weight.at[i] * value;
          }
        }
      }
    }
  }

  static DEVICE void store(float* y, const Sums& sums, float factor, i64 width, int valid, int size) {
    UNROLL
    for (int i = 0; i < R; i++) {
      int row = threadIdx.x / 32 * R + i;
      UNROLL
      for (int c = 0; c < COLUMNS; c++) {
        if (row < valid && c * 32 + lane_id() < size) {
          y[row * width + c * 32 + lane_id()] = sums[i][c] * factor;
        }
      }
    }
  }

  // Of QUERIES: dFirst is dQ. Of KEYS: dFirst and dSecond are dK and dV, null where not wanted.
  static DEVICE void run(const Problem& p, float* dFirst, float* dSecond) {
    SHARED_BYTES(shared);
    int pitch = round_up(p.size, 8) + 4;  // 16-byte accesses of 8 rows meet every bank once
    float* held1 = (float*)shared;                // [BM][pitch]: Q, or K
    float* held2 = held1 + BM * pitch;            // [BM][pitch]: dY, or V
    float* tile = held2 + BM * pitch;             // [BN][pitch]: K and V, or Q and dY, in turn
    float* weights = tile + BN * pitch;           // [2][WARPS][BN][R]: P and dS
    int lane = lane_id();
    int warp = threadIdx.x / 32;
    int row0 = blockIdx.x * BM;
    int rows = MODE == KEYS ? p.keys : p.queries;
    int columns = MODE == KEYS ? p.queries : p.keys;
    i64 width = (i64)p.heads * p.size;
    i64 offset = (i64)blockIdx.y * p.size;
    i64 heldAt = ((i64)blockIdx.z * rows + row0) * width + offset;
    i64 passingAt = (i64)blockIdx.z * columns * width + offset;
    const float* passing1 = (MODE == KEYS ? p.q : p.k) + passingAt;
    const float* passing2 = (MODE == KEYS ? p.dy : p.v) + passingAt;
    i64 ofHead = ((i64)blockIdx.z * p.heads + blockIdx.y) * p.queries;
    bool causal = (p.flags & CAUSAL) != 0;
    int first = MODE == KEYS && causal ? row0 / BN * BN : 0;
    int end = MODE != KEYS && causal ? min(columns, row0 + BM) : columns;
    bool needsDelta = MODE == QUERIES || (MODE == KEYS ? dFirst != nullptr : p.deltas != nullptr);
    float* warpP = weights + warp * BN * R;
    float* warpS = warpP + WARPS * BN * R;

    load(held1, (MODE == KEYS ? p.k : p.q) + heldAt, BM, rows - row0, width, p.size, pitch);
    load(held2, (MODE == KEYS ? p.v : p.dy) + heldAt, BM, rows - row0, width, p.size, pitch);
    float rowSum[R];    // of QUERIES: its statistics; of STATISTICS: this lane's part of the sum
    float rowDelta[R];
    float largest[R];
    Sums sumFirst;
    Sums sumSecond;
    UNROLL
    for (int i = 0; i < R; i++) {
      int query = row0 + warp * R + i;
      bool use = MODE == QUERIES && query < rows;
      rowSum[i] = use ? p.sums[ofHead + query] : 0.0f;
      rowDelta[i] = use ? p.deltas[ofHead + query] : 0.0f;
      largest[i] = MINUS_INFINITY;
      UNROLL
      for (int c = 0; c < COLUMNS; c++) {
        sumFirst[i][c] = 0;
        sumSecond[i][c] = 0;
      }
    }

    for (int column0 = first; column0 < end; column0 += BN) {
      int valid = columns - column0;
      int column = column0 + lane;
      float scores[R];
      float gradients[R];
      BARRIER();  // all are done with the tile
      load(tile, passing1 + column0 * width, BN, valid, width, p.size, pitch);
      BARRIER();
      multiply(scores, held1 + warp * R * pitch, tile, p.size, pitch);
      if (needsDelta || MODE == KEYS) {
        BARRIER();
        load(tile, passing2 + column0 * width, BN, valid, width, p.size, pitch);
        BARRIER();
      }
      UNROLL
      for (int i = 0; i < R; i++) {
        gradients[i] = 0;
      }
      if (needsDelta) {
        multiply(gradients, held2 + warp * R * pitch, tile, p.size, pitch);
      }
      bool use = column < columns;
      float columnSum = MODE == KEYS && use ? p.sums[ofHead + column] : 0.0f;
      float columnDelta = MODE == KEYS && use && needsDelta ? p.deltas[ofHead + column] : 0.0f;
      UNROLL
      for (int i = 0; i < R; i++) {
        int row = row0 + warp * R + i;
        bool sees = use && (!causal || (MODE == KEYS ? row <= column : column <= row));
        float score = sees ? scores[i] * p.scale : MINUS_INFINITY;
        if (MODE == STATISTICS) {
          float highest = fmaxf(largest[i], warp_max(score));
          float reference = highest == MINUS_INFINITY ? 0.0f : highest;
          float shrink = fast_exp(largest[i] - reference);
          float weight = fast_exp(score - reference);
          largest[i] = highest;
          rowSum[i] = rowSum[i] * shrink + weight;
          rowDelta[i] = rowDelta[i] * shrink + weight * gradients[i];
        } else {
          float weight = sees ? fast_exp(score - (MODE == KEYS ? columnSum : rowSum[i])) : 0.0f;
          float delta = MODE == KEYS ? columnDelta : rowDelta[i];
          warpP[lane * R + i] = weight;
          warpS[lane * R + i] = weight * (gradients[i] - delta);
        }
      }
      if (MODE == STATISTICS) {
        continue;
      }
      BARRIER();  // the weights are there
      if (MODE == KEYS && dSecond != nullptr) {
        accumulate(sumSecond, warpP, tile, p.size, pitch);
      }
      if (dFirst != nullptr) {
        BARRIER();
        load(tile, passing1 + column0 * width, BN, valid, width, p.size, pitch);
        BARRIER();
        accumulate(sumFirst, warpS, tile, p.size, pitch);
      }
    }

    if (MODE == STATISTICS) {
      UNROLL
      for (int i = 0; i < R; i++) {
        float total = warp_sum(rowSum[i]);
        float weighted = warp_sum(rowDelta[i]);
        int query = row0 + warp * R + i;
        if (lane == 0 && query < rows) {
          p.sums[ofHead + query] = largest[i] + logf(total);
          if (needsDelta) {
            p.deltas[ofHead + query] = weighted / total;
          }
        }
      }
      return;
    }
    if (dFirst != nullptr) {
      store(dFirst + heldAt, sumFirst, p.scale, width, rows - row0, p.size);
    }
    if (MODE == KEYS && dSecond != nullptr) {
      store(dSecond + heldAt, sumSecond, 1.0f, width, rows - row0, p.size);
    }
  }
};

#define PROBLEM                                                                                                     \
  const float *q, const float *k, const float *v, const float *dy, float *sums, float *deltas, int queries, int keys, \
      int heads, int size, float scale, int flags
#define PROBLEM_OF \
  Problem { q, k, v, dy, sums, deltas, queries, keys, heads, size, scale, flags }

#define GRADIENT(SIZE, R)                                                                    \
  KERNEL(attentionStatistics_bwd_f32_##SIZE, THREADS, 1, (PROBLEM)) {                        \
    after_kernels_before();                                                                  \
    Gradient<SIZE / 32, R, STATISTICS>::run(PROBLEM_OF, nullptr, nullptr);                   \
  }                                                                                          \
  KERNEL(attentionQueries_bwd_f32_##SIZE, THREADS, 1, (PROBLEM, float* dq)) {                \
    after_kernels_before();                                                                  \
    Gradient<SIZE / 32, R, QUERIES>::run(PROBLEM_OF, dq, nullptr);                           \
  }                                                                                          \
  KERNEL(attentionKeys_bwd_f32_##SIZE, THREADS, 1, (PROBLEM, float* dk, float* dv)) {        \
    after_kernels_before();                                                                  \
    Gradient<SIZE / 32, R, KEYS>::run(PROBLEM_OF, dk, dv);                                   \
  }

GRADIENT(64, 4)
GRADIENT(160, 4)
GRADIENT(512, 2)
