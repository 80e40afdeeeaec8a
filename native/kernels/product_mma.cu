// Matrix products and implicit-GEMM convolutions of 16-bit types on mma.sync: y [M, N] = A [M, K] w^T, w [N, pitch].
// Tiles of BM x BN x 32 stream through STAGES buffers in shared memory with cp.async; a warp computes WM x WN of them: 64 x
// 64 where it can, because shared memory feeds the tensor cores too slowly for less.
#include "product.cuh"

constexpr int BK = 32;
constexpr int PITCH = BK + 8;  // rows 80 bytes apart: ldmatrix meets every bank once
constexpr int STAGES = 3;

template <class T, int BM, int BN, int WM, int WN, bool CONVOLUTION, bool DOUBLED = false>
struct Product {
  static constexpr int WARPS_N = BN / WN;
  static constexpr int THREADS = BM / WM * WARPS_N * 32;
  static constexpr int CHUNKS = BK / 8;
  static constexpr int ROWS_AT_ONCE = THREADS / CHUNKS;
  static constexpr int A_ROWS = BM / ROWS_AT_ONCE;
  static constexpr int B_ROWS = BN / ROWS_AT_ONCE;
  static constexpr int TILES_M = WM / 16;
  static constexpr int TILES_N = WN / 8;
  static constexpr int PITCH_SUMS = BN + 8;
  static constexpr int SHARED_TILES = STAGES * (BM + BN) * PITCH * (int)sizeof(T);
  static constexpr int SHARED_SUMS = BM * PITCH_SUMS * (int)sizeof(float);

  // 8 elements of A that need not be aligned, nor belong to one tap.
  static DEVICE void gather(T* to, const Patch<T, DOUBLED>& patch, const Geometry& g, int k, int K) {
    Pack<T, 8> eight;
    UNROLL
    for (int j = 0; j < 8; j++) {
      const T* from = k + j < K ? patch.at(g, (k + j) / g.channels, (k + j) % g.channels) : nullptr;
      eight.at[j] = from == nullptr ? T{0} : *from;
    }
    *(Pack<T, 8>*)to = eight;
  }

  template <class F>
  static DEVICE void run(const T* x, const T* w, const F& finish, const Geometry& g, int K, int pitch, int wide) {
    SHARED_BYTES(shared);
    declare_shared<(SHARED_TILES > SHARED_SUMS ? SHARED_TILES : SHARED_SUMS)>();
    T* a = (T*)shared;                   // [STAGES][BM][PITCH]
    T* b = a + STAGES * BM * PITCH;      // [STAGES][BN][PITCH]
    int thread = threadIdx.x;
    int chunk = thread % CHUNKS * 8;
    int firstRow = thread / CHUNKS;
    int m0 = blockIdx.x * BM;
    int n0 = blockIdx.y * BN;

    Patch<T, DOUBLED> patches[A_ROWS];
    UNROLL
    for (int i = 0; i < A_ROWS; i++) {
      patches[i] = Patch<T, DOUBLED>::of(x, g, m0 + firstRow + i * ROWS_AT_ONCE, finish.M);
    }
    Walk walk;  // this thread's chunk of the next tile to load
    if (CONVOLUTION) {
      walk.advance(g, chunk);
    }

    auto load = [&](int tile) {
      T* toA = a + tile % STAGES * BM * PITCH + firstRow * PITCH + chunk;
      T* toB = b + tile % STAGES * BN * PITCH + firstRow * PITCH + chunk;
      int k = tile * BK + chunk;
      UNROLL
      for (int i = 0; i < A_ROWS; i++) {
        if (wide) {
          const T* from = nullptr;
          if (k < K) {
            from = CONVOLUTION ? patches[i].at(g, walk.line, walk.column, walk.channel, walk.offset)
                               : patches[i].exists() ? patches[i].corner + k : nullptr;
          }
          copy_async16(toA + i * ROWS_AT_ONCE * PITCH, from == nullptr ? x : from, from != nullptr);
        } else {
          gather(toA + i * ROWS_AT_ONCE * PITCH, patches[i], g, k, K);
        }
      }
      UNROLL
      for (int i = 0; i < B_ROWS; i++) {
        int n = n0 + firstRow + i * ROWS_AT_ONCE;
        bool use = n < finish.N && k < pitch;
        copy_async16(toB + i * ROWS_AT_ONCE * PITCH, use ? w + (i64)n * pitch + k : w, use);
      }
      if (CONVOLUTION) {
        walk.advance(g, BK);
      }
    };

    float sums[TILES_M][TILES_N][4];
    UNROLL
    for (int i = 0; i < TILES_M; i++) {
      UNROLL
      for (int j = 0; j < TILES_N; j++) {
        UNROLL
        for (int r = 0; r < 4; r++) {
          sums[i][j][r] = 0;
        }
      }
    }

    int tiles = (K + BK - 1) / BK;
    UNROLL
    for (int s = 0; s < STAGES - 1; s++) {
      if (s < tiles) {
        load(s);
      }
      copy_commit();
    }
    int warp = thread / 32;
    int warpM = warp / WARPS_N * WM;
    int warpN = warp % WARPS_N * WN;
    for (int tile = 0; tile < tiles; tile++) {
      copy_wait<STAGES - 2>();
      BARRIER();  // tile has arrived for all, and all are done with the buffer that is loaded next
      if (tile + STAGES - 1 < tiles) {
        load(tile + STAGES - 1);
      }
      copy_commit();
      const u16* tileA = (const u16*)(a + tile % STAGES * BM * PITCH) + warpM * PITCH;
      const u16* tileB = (const u16*)(b + tile % STAGES * BN * PITCH) + warpN * PITCH;
      UNROLL
      for (int k = 0; k < BK; k += 16) {
        u32 fragmentA[TILES_M][4];
        UNROLL
        for (int i = 0; i < TILES_M; i++) {
          load_a(fragmentA[i], tileA + i * 16 * PITCH + k, PITCH);
        }
        UNROLL
        for (int j = 0; j < TILES_N; j += 2) {
          u32 fragmentB[4];
          load_b2(fragmentB, tileB + j * 8 * PITCH + k, PITCH);
          UNROLL
          for (int i = 0; i < TILES_M; i++) {
            Half<T>::mma(sums[i][j], fragmentA[i], fragmentB[0], fragmentB[1]);
            Half<T>::mma(sums[i][j + 1], fragmentA[i], fragmentB[2], fragmentB[3]);
          }
        }
      }
    }

    // Through shared memory, so that what follows is compiled once, not for every sum, and is coalesced.
    BARRIER();
    float* sumsTile = (float*)shared;  // [BM][PITCH_SUMS]
    int lane = lane_id();
    UNROLL
    for (int i = 0; i < TILES_M; i++) {
      UNROLL
      for (int j = 0; j < TILES_N; j++) {
        float* to = sumsTile + (warpM + i * 16 + lane / 4) * PITCH_SUMS + warpN + j * 8 + lane % 4 * 2;
        *(Pack<float, 2>*)to = Pack<float, 2>{{sums[i][j][0], sums[i][j][1]}};
        *(Pack<float, 2>*)(to + 8 * PITCH_SUMS) = Pack<float, 2>{{sums[i][j][2], sums[i][j][3]}};
      }
    }
    BARRIER();
    ROLLED
    for (int i = thread; i < BM * BN / 8; i += THREADS) {
      int row = i / (BN / 8);
      int column = i % (BN / 8) * 8;
      finish_columns(finish, m0 + row, n0 + column, sumsTile + row * PITCH_SUMS + column);
    }
  }
};

#define PRODUCT(T, BM, BN, WM, WN)                                                                                     \
  KERNEL(linear_fwd_##T##_##BM##x##BN, (BM / WM * (BN / WN) * 32), 1, PRODUCT_PARAMETERS(T)) {                         \
    after_kernels_before();                                                                                            \
    Product<T, BM, BN, WM, WN, false>::run(x + blockIdx.z * strideX, w + blockIdx.z * strideW, PRODUCT_FINISH(T), g,   \
                                           K, pitch, wide);                                                            \
  }                                                                                                                    \
  KERNEL(conv2d_fwd_##T##_##BM##x##BN, (BM / WM * (BN / WN) * 32), 1, PRODUCT_PARAMETERS(T)) {                         \
    after_kernels_before();                                                                                            \
    Product<T, BM, BN, WM, WN, true>::run(x + blockIdx.z * strideX, w + blockIdx.z * strideW, PRODUCT_FINISH(T), g, K, \
                                          pitch, wide);                                                                \
  }                                                                                                                    \
  KERNEL(conv2dDoubled_fwd_##T##_##BM##x##BN, (BM / WM * (BN / WN) * 32), 1, PRODUCT_PARAMETERS(T)) {                  \
    after_kernels_before();                                                                                            \
    Product<T, BM, BN, WM, WN, true, true>::run(x, w, PRODUCT_FINISH(T), g, K, pitch, wide);                           \
  }                                                                                                                    \
  KERNEL(geglu_bwd_##T##_##BM##x##BN, (BM / WM * (BN / WN) * 32), 1, GEGLU_PARAMETERS(T)) {                            \
    after_kernels_before();                                                                                            \
    GegluGradient<T> finish{bias, dy, dz, M, N};                                                                       \
    Product<T, BM, BN, WM, WN, false>::run(x, w, finish, g, K, pitch, wide);                                           \
  }

PRODUCT(bf16, 128, 128, 64, 64)
PRODUCT(bf16, 64, 64, 32, 32)
PRODUCT(f16, 128, 128, 64, 64)
PRODUCT(f16, 64, 64, 32, 32)
