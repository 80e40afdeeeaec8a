// The derivative of attention for 16-bit types (FlashAttention-2, Dao 2023), scores computed again block by block. Three
// kernels, none of which adds to what another block writes, so results can be repeated bit by bit:
//   statistics  of every query the logarithm of its sum of exponentials, and delta = sum P dP
//   queries     dQ = scale dS K, a block of queries walking over the keys
//   keys        dK = scale dS^T Q and dV = P^T dY, a block of keys walking over the queries
// where S = scale Q K^T, P = softmax S, dP = dY V^T, dS = P (dP - delta). All three have the same shape: a block holds rows of
// two operands and walks over two others, whose next rows arrive meanwhile; P and dS never leave the registers.
#include "device.cuh"

constexpr float LOG2E = 1.4426950408889634f;
constexpr int WIDE = 1;
constexpr int CAUSAL = 2;
constexpr int STATISTICS = 0;
constexpr int QUERIES = 1;
constexpr int KEYS = 2;
constexpr int WARPS = 4;
constexpr int THREADS = WARPS * 32;

template <class T>
struct Problem {
  const T *q, *k, *v, *dy;
  float *sums, *deltas;  // [batch][heads][queries]; sums as base-2 logarithms
  int queries, keys, heads, size;
  float scale;
  int flags;
};

// D: the head size that scores are computed for, a multiple of 16; smaller heads are filled up with zeros.
// DV: how many columns the results have, a multiple of 8. A block holds 64 * TILES rows and walks over BN at a time.
template <class T, int D, int DV, int TILES, int BN, int MODE>
struct Gradient {
  static constexpr int ROWS = 16 * TILES;  // of a warp
  static constexpr int BM = WARPS * ROWS;
  static constexpr int PITCH = D + 8;
  static constexpr int TILES_S = BN / 8;
  static constexpr int TILES_O = DV / 8;

  typedef float Scores[TILES][TILES_S][4];
  typedef float Sums[TILES][TILES_O][4];

  // COUNT rows; those from `valid` on and columns from `size` on become zeros.
  template <int COUNT>
  static DEVICE void load(T* to, const T* from, i64 width, int valid, int size, int flags) {
    constexpr int CHUNKS = D / 8;
    for (int i = threadIdx.x; i < COUNT * CHUNKS; i += THREADS) {
      int row = i / CHUNKS;
      int column = i % CHUNKS * 8;
      T* target = to + row * PITCH + column;
      const T* source = from + row * width + column;
      if (flags & WIDE) {
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

  template <int COLUMNS>
  static DEVICE void clear(float (&sums)[TILES][COLUMNS][4]) {
    UNROLL
    for (int t = 0; t < TILES; t++) {
      UNROLL
      for (int j = 0; j < COLUMNS; j++) {
        UNROLL
        for (int r = 0; r < 4; r++) {
          sums[t][j][r] = 0;
        }
      }
    }
  }

  // a b^T, both with rows of D.
  static DEVICE void multiply(Scores& scores, const u16* a, const u16* b) {
    clear(scores);
    UNROLL
    for (int d = 0; d < D; d += 16) {
      u32 fragmentA[TILES][4];
      UNROLL
      for (int t = 0; t < TILES; t++) {
        load_a(fragmentA[t], a + t * 16 * PITCH + d, PITCH);
      }
      UNROLL
      for (int j = 0; j < TILES_S; j += 2) {
        u32 fragmentB[4];
        load_b2(fragmentB, b + j * 8 * PITCH + d, PITCH);
        UNROLL
        for (int t = 0; t < TILES; t++) {
          Half<T>::mma(scores[t][j], fragmentA[t], fragmentB[0], fragmentB[1]);
          Half<T>::mma(scores[t][j + 1], fragmentA[t], fragmentB[2], fragmentB[3]);
        }
      }
    }
  }

  // sums += weights b, b with BN rows.
  static DEVICE void accumulate(Sums& sums, const Scores& weights, const u16* b) {
    UNROLL
    for (int i = 0; i < BN / 16; i++) {
      u32 a[TILES][4];
      UNROLL
      for (int t = 0; t < TILES; t++) {
        a[t][0] = Half<T>::pack(weights[t][2 * i][0], weights[t][2 * i][1]);
        a[t][1] = Half<T>::pack(weights[t][2 * i][2], weights[t][2 * i][3]);
        a[t][2] = Half<T>::pack(weights[t][2 * i + 1][0], weights[t][2 * i + 1][1]);
        a[t][3] = Half<T>::pack(weights[t][2 * i + 1][2], weights[t][2 * i + 1][3]);
      }
      const u16* rows = b + i * 16 * PITCH;
      UNROLL
      for (int j = 0; j + 1 < TILES_O; j += 2) {
        u32 fragmentB[4];
        load_b2_transposed(fragmentB, rows + j * 8, PITCH);
        UNROLL
        for (int t = 0; t < TILES; t++) {
          Half<T>::mma(sums[t][j], a[t], fragmentB[0], fragmentB[1]);
          Half<T>::mma(sums[t][j + 1], a[t], fragmentB[2], fragmentB[3]);
        }
      }
      if (TILES_O % 2 == 1) {
        constexpr int LAST = TILES_O - 1;
        u32 fragmentB[2];
        load_b_transposed(fragmentB, rows + LAST * 8, PITCH);
        UNROLL
        for (int t = 0; t < TILES; t++) {
          Half<T>::mma(sums[t][LAST], a[t], fragmentB[0], fragmentB[1]);
        }
      }
    }
  }

  template <class Y>
  static DEVICE void store(Y* y, const Sums& sums, float factor, i64 width, int valid, int size) {
    int lane = lane_id();
    int first = threadIdx.x / 32 * ROWS + lane / 4;
    UNROLL
    for (int t = 0; t < TILES; t++) {
      UNROLL
      for (int half = 0; half < 2; half++) {
        int row = first + t * 16 + half * 8;
        UNROLL
        for (int j = 0; j < TILES_O; j++) {
          int column = j * 8 + lane % 4 * 2;
          if (row < valid && column < size) {
            Pack<Y, 2> two;
            two.at[0] = from_float<Y>(sums[t][j][half * 2] * factor);
            two.at[1] = from_float<Y>(sums[t][j][half * 2 + 1] * factor);
            *(Pack<Y, 2>*)(y + row * width + column) = two;
          }
        }
      }
    }
  }

  // Y: of the results. Of QUERIES: dFirst is dQ. Of KEYS: dFirst and dSecond are dK and dV, null where not wanted, summed in
  // `parts` of `partRows` queries: f32 [parts][batch][keys][width].
  template <class Y>
  static DEVICE void run(const Problem<T>& p, Y* dFirst, Y* dSecond, int parts, int partRows) {
    SHARED_BYTES(shared);
    T* held1 = (T*)shared;               // [BM][PITCH]: Q, or K
    T* held2 = held1 + BM * PITCH;       // [BM][PITCH]: dY, or V
    T* passing1 = held2 + BM * PITCH;    // [2][BN][PITCH]: K, or Q
    T* passing2 = passing1 + 2 * BN * PITCH;  // [2][BN][PITCH]: V, or dY
    float* statistics = (float*)(passing2 + 2 * BN * PITCH);  // of KEYS: [2][2][BN], sums and deltas
    int batch = blockIdx.z / parts;
    int part = blockIdx.z - batch * parts;
    int row0 = blockIdx.x * BM;
    int rows = MODE == KEYS ? p.keys : p.queries;
    int columns = MODE == KEYS ? p.queries : p.keys;
    i64 width = (i64)p.heads * p.size;
    i64 offset = (i64)blockIdx.y * p.size;
    i64 heldAt = ((i64)batch * rows + row0) * width + offset;
    i64 passingAt = (i64)batch * columns * width + offset;
    const T* from1 = (MODE == KEYS ? p.q : p.k) + passingAt;
    const T* from2 = (MODE == KEYS ? p.dy : p.v) + passingAt;
    i64 ofHead = ((i64)batch * p.heads + blockIdx.y) * p.queries;
    bool causal = (p.flags & CAUSAL) != 0;
    int first = 0;
    int end = columns;
    if (MODE == KEYS) {
      first = max(part * partRows, causal ? row0 / BN * BN : 0);
      end = min(columns, (part + 1) * partRows);
    } else if (causal) {
      end = min(columns, row0 + BM);
    }
    bool needsDelta = MODE == QUERIES || (MODE == KEYS ? dFirst != nullptr : p.deltas != nullptr);
    int lane = lane_id();
    int warpRow = threadIdx.x / 32 * ROWS;
    float scale2 = p.scale * LOG2E;

    load<BM>(held1, (MODE == KEYS ? p.k : p.q) + heldAt, width, rows - row0, p.size, p.flags);
    load<BM>(held2, (MODE == KEYS ? p.v : p.dy) + heldAt, width, rows - row0, p.size, p.flags);
    auto loadPassing = [&](int from, int stage) {
      load<BN>(passing1 + stage * BN * PITCH, from1 + from * width, width, columns - from, p.size, p.flags);
      load<BN>(passing2 + stage * BN * PITCH, from2 + from * width, width, columns - from, p.size, p.flags);
    };
    // Of KEYS: what this thread brings of the statistics of the queries from `from` on.
    auto statistic = [&](int from) {
      int query = from + (int)threadIdx.x % BN;
      bool delta = (int)threadIdx.x >= BN;
      bool use = (int)threadIdx.x < 2 * BN && query < columns && (needsDelta || !delta);
      return use ? (delta ? p.deltas : p.sums)[ofHead + query] : 0.0f;
    };
    if (first < end) {
      loadPassing(first, 0);
      if (MODE == KEYS && threadIdx.x < 2 * BN) {
        statistics[threadIdx.x] = statistic(first);
      }
    }
    copy_commit();

    float rowSum[TILES][2];    // of QUERIES: its statistics; of STATISTICS: this lane's part of the sum
    float rowDelta[TILES][2];
    float largest[TILES][2];
    UNROLL
    for (int t = 0; t < TILES; t++) {
      UNROLL
      for (int half = 0; half < 2; half++) {
        int query = row0 + warpRow + t * 16 + half * 8 + lane / 4;
        bool use = MODE == QUERIES && query < rows;
        rowSum[t][half] = use ? p.sums[ofHead + query] : 0.0f;
        rowDelta[t][half] = use ? p.deltas[ofHead + query] : 0.0f;
        largest[t][half] = MINUS_INFINITY;
      }
    }
    Sums sumFirst;
    Sums sumSecond;
    clear(sumFirst);
    clear(sumSecond);
    const u16* warpHeld1 = (const u16*)(held1 + warpRow * PITCH);
    const u16* warpHeld2 = (const u16*)(held2 + warpRow * PITCH);

    int stage = 0;
    for (int column0 = first; column0 < end; column0 += BN) {
      copy_wait<0>();
      BARRIER();  // what passes now has arrived for all, and all are done with the buffer that is loaded next
      float nextStatistic = 0;
      if (column0 + BN < end) {
        loadPassing(column0 + BN, 1 - stage);
        if (MODE == KEYS) {
          nextStatistic = statistic(column0 + BN);
        }
      }
      copy_commit();
      const u16* now1 = (const u16*)(passing1 + stage * BN * PITCH);
      const u16* now2 = (const u16*)(passing2 + stage * BN * PITCH);
      Scores scores;
      Scores gradients;
      multiply(scores, warpHeld1, now1);
      if (needsDelta) {
        multiply(gradients, warpHeld2, now2);
      } else {
        clear(gradients);
      }

      UNROLL
      for (int t = 0; t < TILES; t++) {
        UNROLL
        for (int half = 0; half < 2; half++) {
          int row = row0 + warpRow + t * 16 + half * 8 + lane / 4;
          // Columns that this row sees.
          int from = MODE == KEYS && causal ? row : 0;
          int to = MODE != KEYS && causal ? min(columns, row + 1) : columns;
          float& highest = largest[t][half];
          float reference = 0;
          if (MODE == STATISTICS) {
            float before = highest;
            UNROLL
            for (int j = 0; j < TILES_S; j++) {
              UNROLL
              for (int r = 0; r < 2; r++) {
                int column = column0 + j * 8 + lane % 4 * 2 + r;
                float score = column < to ? scores[t][j][half * 2 + r] * scale2 : MINUS_INFINITY;
                scores[t][j][half * 2 + r] = score;
                highest = fmaxf(highest, score);
              }
            }
            highest = fmaxf(highest, shfl_xor(highest, 1));
            highest = fmaxf(highest, shfl_xor(highest, 2));
            reference = highest == MINUS_INFINITY ? 0.0f : highest;
            float shrink = fast_exp2(before - reference);
            rowSum[t][half] *= shrink;
            rowDelta[t][half] *= shrink;
          }
          UNROLL
          for (int j = 0; j < TILES_S; j++) {
            UNROLL
            for (int r = 0; r < 2; r++) {
              int inBlock = j * 8 + lane % 4 * 2 + r;
              int column = column0 + inBlock;
              float& score = scores[t][j][half * 2 + r];
              float& gradient = gradients[t][j][half * 2 + r];
              if (MODE == STATISTICS) {
                float weight = fast_exp2(score - reference);
                rowSum[t][half] += weight;
                rowDelta[t][half] += weight * gradient;
                continue;
              }
              float sum = MODE == KEYS ? statistics[stage * 2 * BN + inBlock] : rowSum[t][half];
              float delta = MODE == KEYS ? statistics[stage * 2 * BN + BN + inBlock] : rowDelta[t][half];
              score = column >= from && column < to ? fast_exp2(score * scale2 - sum) : 0.0f;
              gradient = score * (gradient - delta);
            }
          }
        }
      }

      if (MODE == KEYS && dSecond != nullptr) {
        accumulate(sumSecond, scores, now2);
      }
      if (MODE == QUERIES || (MODE == KEYS && dFirst != nullptr)) {
        accumulate(sumFirst, gradients, now1);
      }
      if (MODE == KEYS && threadIdx.x < 2 * BN) {
        statistics[(1 - stage) * 2 * BN + threadIdx.x] = nextStatistic;
      }
      stage = 1 - stage;
    }

    if (MODE == STATISTICS) {
      UNROLL
      for (int t = 0; t < TILES; t++) {
        UNROLL
        for (int half = 0; half < 2; half++) {
          float total = rowSum[t][half];
          float weighted = rowDelta[t][half];
          UNROLL
          for (int mask = 1; mask <= 2; mask *= 2) {
            total += shfl_xor(total, mask);
            weighted += shfl_xor(weighted, mask);
          }
          int query = row0 + warpRow + t * 16 + half * 8 + lane / 4;
          if (lane % 4 == 0 && query < rows) {
            p.sums[ofHead + query] = largest[t][half] + log2f(total);
            if (needsDelta) {
              p.deltas[ofHead + query] = weighted / total;
            }
          }
        }
      }
      return;
    }
    i64 to = (i64)part * (gridDim.z / parts) * rows * width + heldAt;
    if (dFirst != nullptr) {
      store(dFirst + to, sumFirst, p.scale, width, rows - row0, p.size);
    }
    if (MODE == KEYS && dSecond != nullptr) {
      store(dSecond + to, sumSecond, 1.0f, width, rows - row0, p.size);
    }
  }
};

#define PROBLEM(T)                                                                                                     \
  const T *q, const T *k, const T *v, const T *dy, float *sums, float *deltas, int queries, int keys, int heads, int size, \
      float scale, int flags
#define PROBLEM_OF(T) \
  Problem<T> { q, k, v, dy, sums, deltas, queries, keys, heads, size, scale, flags }

// For the kernels over queries and over keys: how many times 64 rows a block holds, how many pass at a time, and how many
// blocks are to have room in a multiprocessor's registers.
#define GRADIENT(T, D, DV, TILES_Q, BN_Q, BLOCKS_Q, TILES_K, BN_K, BLOCKS_K, NAME)                                     \
  KERNEL(attentionStatistics_bwd_##T##_##NAME, THREADS, BLOCKS_Q, (PROBLEM(T))) {                                      \
    after_kernels_before();                                                                                            \
    Gradient<T, D, DV, TILES_Q, BN_Q, STATISTICS>::template run<T>(PROBLEM_OF(T), nullptr, nullptr, 1, 0);             \
  }                                                                                                                    \
  KERNEL(attentionQueries_bwd_##T##_##NAME, THREADS, BLOCKS_Q, (PROBLEM(T), T * dq)) {                                 \
    after_kernels_before();                                                                                            \
    Gradient<T, D, DV, TILES_Q, BN_Q, QUERIES>::template run<T>(PROBLEM_OF(T), dq, nullptr, 1, 0);                     \
  }                                                                                                                    \
  KERNEL(attentionKeys_bwd_##T##_##NAME, THREADS, BLOCKS_K,                                                            \
         (PROBLEM(T), f32 * dk, f32 * dv, int parts, int partRows)) {                                                  \
    after_kernels_before();                                                                                            \
    Gradient<T, D, DV, TILES_K, BN_K, KEYS>::template run<f32>(PROBLEM_OF(T), dk, dv, parts, partRows);                \
  }

#define GRADIENTS(T)                                \
  GRADIENT(T, 48, 40, 2, 32, 3, 2, 32, 2, 40)       \
  GRADIENT(T, 64, 64, 2, 32, 3, 1, 32, 3, 64)       \
  GRADIENT(T, 80, 80, 2, 32, 2, 1, 32, 3, 80)       \
  GRADIENT(T, 128, 128, 1, 32, 2, 1, 32, 2, 128)    \
  GRADIENT(T, 160, 160, 1, 32, 2, 1, 16, 2, 160)

GRADIENTS(bf16)
GRADIENTS(f16)
