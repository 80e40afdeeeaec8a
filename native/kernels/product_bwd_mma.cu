// Derivatives of products and convolutions of 16-bit types on mma.sync; the pipeline is that of product_mma.cu. The right
// operand lies n-contiguous, and for dw the left one m-contiguous: ldmatrix turns them, so nothing is transposed in memory
// and a frozen weight is kept once.
#include "product_bwd.cuh"

constexpr int BK = 32;
constexpr int STAGES = 3;

// COLUMNS: whether the left operand's rows are those of the sum.
template <class T, int BM, int BN, int WM, int WN, bool COLUMNS>
struct Product {
  static constexpr int WARPS_N = BN / WN;
  static constexpr int THREADS = BM / WM * WARPS_N * 32;
  // Rows 16 bytes longer than a power of two: ldmatrix meets every bank once.
  static constexpr int PITCH_A = (COLUMNS ? BM : BK) + 8;
  static constexpr int PITCH_B = BN + 8;
  static constexpr int SIZE_A = (COLUMNS ? BK : BM) * PITCH_A;
  static constexpr int SIZE_B = BK * PITCH_B;
  static constexpr int CHUNKS_A = (COLUMNS ? BM : BK) / 8;
  static constexpr int CHUNKS_B = BN / 8;
  static constexpr int STEP_A = THREADS / CHUNKS_A;
  static constexpr int STEP_B = THREADS / CHUNKS_B;
  static constexpr int ROWS_A = (COLUMNS ? BK : BM) / STEP_A;
  static constexpr int ROWS_B = BK / STEP_B;
  static constexpr int TILES_M = WM / 16;
  static constexpr int TILES_N = WN / 8;

  static DEVICE int row_a() { return threadIdx.x / CHUNKS_A; }
  static DEVICE int column_a() { return threadIdx.x % CHUNKS_A * 8; }
  static DEVICE int row_b() { return threadIdx.x / CHUNKS_B; }
  static DEVICE int column_b() { return threadIdx.x % CHUNKS_B * 8; }

  template <int ROWS, int STEP, int PITCH, class Operand>
  static DEVICE void load(T* to, Operand& operand, const T* any, int wide) {
    UNROLL
    for (int i = 0; i < ROWS; i++) {
      if (wide) {
        const T* from = operand.chunk(i);
        copy_async16(to + i * STEP * PITCH, from == nullptr ? any : from, from != nullptr);
      } else {
        Pack<T, 8> eight;
        operand.gather(i, eight);
        *(Pack<T, 8>*)(to + i * STEP * PITCH) = eight;
      }
    }
    operand.advance();
  }

  // Leaves the sums in shared memory, [BM][BN + 4]; `anyA` and `anyB` are addresses that may be named where nothing is read.
  template <class A, class B>
  static DEVICE const float* run(A& left, B& right, const T* anyA, const T* anyB, int tiles, int wideA, int wideB) {
    SHARED_BYTES(shared);
    T* a = (T*)shared;             // [STAGES][SIZE_A]
    T* b = a + STAGES * SIZE_A;    // [STAGES][SIZE_B]
    auto loadNext = [&](int tile) {
      load<ROWS_A, STEP_A, PITCH_A>(a + tile % STAGES * SIZE_A + row_a() * PITCH_A + column_a(), left, anyA, wideA);
      load<ROWS_B, STEP_B, PITCH_B>(b + tile % STAGES * SIZE_B + row_b() * PITCH_B + column_b(), right, anyB, wideB);
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
    UNROLL
    for (int s = 0; s < STAGES - 1; s++) {
      if (s < tiles) {
        loadNext(s);
      }
      copy_commit();
    }
    int warp = threadIdx.x / 32;
    int warpM = warp / WARPS_N * WM;
    int warpN = warp % WARPS_N * WN;
    for (int tile = 0; tile < tiles; tile++) {
      copy_wait<STAGES - 2>();
      BARRIER();  // tile has arrived for all, and all are done with the buffer that is loaded next
      if (tile + STAGES - 1 < tiles) {
        loadNext(tile + STAGES - 1);
      }
      copy_commit();
      const u16* tileA = (const u16*)(a + tile % STAGES * SIZE_A) + (COLUMNS ? warpM : warpM * PITCH_A);
      const u16* tileB = (const u16*)(b + tile % STAGES * SIZE_B) + warpN;
      UNROLL
      for (int k = 0; k < BK; k += 16) {
        u32 fragmentA[TILES_M][4];
        UNROLL
        for (int i = 0; i < TILES_M; i++) {
          if (COLUMNS) {
            load_a_transposed(fragmentA[i], tileA + k * PITCH_A + i * 16, PITCH_A);
          } else {
            load_a(fragmentA[i], tileA + i * 16 * PITCH_A + k, PITCH_A);
          }
        }
        UNROLL
        for (int j = 0; j < TILES_N; j += 2) {
          u32 fragmentB[4];
          load_b2_transposed(fragmentB, tileB + k * PITCH_B + j * 8, PITCH_B);
          UNROLL
          for (int i = 0; i < TILES_M; i++) {
            Half<T>::mma(sums[i][j], fragmentA[i], fragmentB[0], fragmentB[1]);
            Half<T>::mma(sums[i][j + 1], fragmentA[i], fragmentB[2], fragmentB[3]);
          }
        }
      }
    }
    BARRIER();
    float* sumsTile = (float*)shared;
    int lane = lane_id();
    UNROLL
    for (int i = 0; i < TILES_M; i++) {
      UNROLL
      for (int j = 0; j < TILES_N; j++) {
        float* to = sumsTile + (warpM + i * 16 + lane / 4) * (BN + 4) + warpN + j * 8 + lane % 4 * 2;
        to[0] = sums[i][j][0];
        to[1] = sums[i][j][1];
        to[8 * (BN + 4)] = sums[i][j][2];
        to[8 * (BN + 4) + 1] = sums[i][j][3];
      }
    }
    BARRIER();
    return sumsTile;
  }

  template <bool CONVOLUTION>
  static DEVICE void input(const T* dy, const T* w, T* dx, const Convolution& c, int pitch, int wideDy, int wideW) {
    Phases p = Phases::of(c, blockIdx.z);
    int m0 = blockIdx.x * BM;
    int n0 = blockIdx.y * BN;
    if (m0 >= p.rows(c)) {
      return;  // phases differ in size
    }
    Seen<T, 8, ROWS_A, STEP_A, BK, CONVOLUTION> left(dy, c, p, m0 + row_a(), column_a());
    Weights<T, 8, ROWS_B, STEP_B, BK, CONVOLUTION> right(w, pitch, c, p, row_b(), n0 + column_b());
    int tiles = (p.columns(c) + BK - 1) / BK;
    const float* tile = run(left, right, dy, w, tiles, wideDy, wideW);
    store_pixels<T, BM, BN, THREADS>(tile, dx, c, p, m0, n0);
  }

  static DEVICE void weight(const T* x, const T* dy, float* sums, const Convolution& c, int parts, int rows, int wideX,
                            int wideDy) {
    int matrix = blockIdx.z / parts;
    int pixels = c.batch * c.outHeight * c.outWidth;
    int first = (blockIdx.z - matrix * parts) * rows;
    int end = min(pixels, first + rows);
    int columns = c.kernelHeight * c.kernelWidth * c.in;
    int m0 = blockIdx.x * BM;
    int n0 = blockIdx.y * BN;
    x += (i64)matrix * c.batch * c.height * c.width * c.in;
    dy += (i64)matrix * pixels * c.out;
    Pixels<T, 8, ROWS_A, STEP_A, BK> left(dy, c.out, first + row_a(), end, m0 + column_a());
    Patches<T, 8, ROWS_B, STEP_B, BK> right(x, c, first + row_b(), end, n0 + column_b());
    const float* tile = run(left, right, dy, x, (end - first + BK - 1) / BK, wideDy, wideX);
    store_sums<BM, BN, THREADS>(tile, sums + (i64)blockIdx.z * c.out * columns, c.out, columns, m0, n0);
  }
};

// Two blocks of the large tile have room on a multiprocessor: 128 registers a thread, 67 KiB a block.
#define PRODUCT(T, BM, BN, WM, WN, BLOCKS)                                                                       \
  KERNEL(linearInput_bwd_##T##_##BM##x##BN, (BM / WM * (BN / WN) * 32), BLOCKS, INPUT_PARAMETERS(T)) {           \
    after_kernels_before();                                                                                      \
    Product<T, BM, BN, WM, WN, false>::template input<false>(dy, w, dx, c, pitch, wideDy, wideW);                \
  }                                                                                                              \
  KERNEL(conv2dInput_bwd_##T##_##BM##x##BN, (BM / WM * (BN / WN) * 32), BLOCKS, INPUT_PARAMETERS(T)) {           \
    after_kernels_before();                                                                                      \
    Product<T, BM, BN, WM, WN, false>::template input<true>(dy, w, dx, c, pitch, wideDy, wideW);                 \
  }                                                                                                              \
  KERNEL(conv2dWeight_bwd_##T##_##BM##x##BN, (BM / WM * (BN / WN) * 32), BLOCKS, WEIGHT_PARAMETERS(T)) {         \
    after_kernels_before();                                                                                      \
    Product<T, BM, BN, WM, WN, true>::weight(x, dy, sums, c, parts, rows, wideX, wideDy);                        \
  }

PRODUCT(bf16, 128, 128, 64, 32, 2)
PRODUCT(bf16, 64, 64, 32, 32, 4)
PRODUCT(f16, 128, 128, 64, 32, 2)
PRODUCT(f16, 64, 64, 32, 32, 4)
