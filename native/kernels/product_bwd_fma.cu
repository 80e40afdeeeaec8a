// Derivatives of products and convolutions in f32, on plain FMA, and the sum of the parts that the reduction over pixels is
// computed in: always in their order, so that training can be repeated bit by bit.
#include "product_bwd.cuh"

constexpr int BK = 16;
constexpr int THREADS = 256;

// COLUMNS: whether the left operand's rows are those of the sum.
template <int B, bool COLUMNS>
struct Product {
  static constexpr int PITCH = B + 4;
  static constexpr int R = B / 16;  // a thread computes R x R
  static constexpr int CHUNKS_A = (COLUMNS ? B : BK) / 4;
  static constexpr int CHUNKS_B = B / 4;
  static constexpr int STEP_A = THREADS / CHUNKS_A;
  static constexpr int STEP_B = THREADS / CHUNKS_B;
  static constexpr int ROWS_A = (COLUMNS ? BK : B) / STEP_A;
  static constexpr int ROWS_B = BK / STEP_B;
  typedef Pack<f32, 4> Four;

  static DEVICE int row_a() { return threadIdx.x / CHUNKS_A; }
  static DEVICE int column_a() { return threadIdx.x % CHUNKS_A * 4; }
  static DEVICE int row_b() { return threadIdx.x / CHUNKS_B; }
  static DEVICE int column_b() { return threadIdx.x % CHUNKS_B * 4; }

  template <int ROWS, class Operand>
  static DEVICE void fetch(Four (&next)[ROWS], Operand& operand, int wide) {
    UNROLL
    for (int i = 0; i < ROWS; i++) {
      if (wide) {
        const f32* from = operand.chunk(i);
        next[i] = from == nullptr ? Four{} : *(const Four*)from;
      } else {
        operand.gather(i, next[i]);
      }
    }
    operand.advance();
  }

  // Leaves the sums in shared memory, [B][B + 4].
  template <class Left, class Right>
  static DEVICE const float* run(Left& left, Right& right, int tiles, int wideA, int wideB) {
    SHARED_BYTES(shared);
    float* a = (float*)shared;  // [BK][PITCH]
    float* b = a + BK * PITCH;
    float sums[R][R];
    UNROLL
    for (int i = 0; i < R; i++) {
      UNROLL
      for (int j = 0; j < R; j++) {
        sums[i][j] = 0;
      }
    }
    int tx = threadIdx.x % 16 * R;
    int ty = threadIdx.x / 16 * R;
    Four nextA[ROWS_A];
    Four nextB[ROWS_B];
    if (tiles > 0) {
      fetch(nextA, left, wideA);
      fetch(nextB, right, wideB);
    }
    for (int tile = 0; tile < tiles; tile++) {
      BARRIER();
      UNROLL
      for (int i = 0; i < ROWS_A; i++) {
        if (COLUMNS) {
          *(Four*)(a + (row_a() + i * STEP_A) * PITCH + column_a()) = nextA[i];
        } else {
          UNROLL
          for (int j = 0; j < 4; j++) {
            a[(column_a() + j) * PITCH + row_a() + i * STEP_A] = nextA[i].at[j].value;
          }
        }
      }
      UNROLL
      for (int i = 0; i < ROWS_B; i++) {
        *(Four*)(b + (row_b() + i * STEP_B) * PITCH + column_b()) = nextB[i];
      }
      BARRIER();
      if (tile + 1 < tiles) {
        fetch(nextA, left, wideA);
        fetch(nextB, right, wideB);
      }
      UNROLL
      for (int k = 0; k < BK; k++) {
        Pack<float, 4> rowA[R / 4];
        Pack<float, 4> rowB[R / 4];
        UNROLL
        for (int i = 0; i < R / 4; i++) {
          rowA[i] = *(const Pack<float, 4>*)(a + k * PITCH + ty + 4 * i);
          rowB[i] = *(const Pack<float, 4>*)(b + k * PITCH + tx + 4 * i);
        }
        UNROLL
        for (int i = 0; i < R; i++) {
          UNROLL
          for (int j = 0; j < R; j++) {
            sums[i][j] += rowA[i / 4].at[i % 4] * rowB[j / 4].at[j % 4];
          }
        }
      }
    }
    BARRIER();
    float* sumsTile = (float*)shared;
    UNROLL
    for (int i = 0; i < R; i++) {
      UNROLL
      for (int j = 0; j < R; j++) {
        sumsTile[(ty + i) * PITCH + tx + j] = sums[i][j];
      }
    }
    BARRIER();
    return sumsTile;
  }

  template <bool CONVOLUTION>
  static DEVICE void input(const f32* dy, const f32* w, f32* dx, const Convolution& c, int pitch, int wideDy, int wideW) {
    Phases p = Phases::of(c, blockIdx.z);
    int m0 = blockIdx.x * B;
    int n0 = blockIdx.y * B;
    if (m0 >= p.rows(c)) {
      return;  // phases differ in size
    }
    Seen<f32, 4, ROWS_A, STEP_A, BK, CONVOLUTION> left(dy, c, p, m0 + row_a(), column_a());
    Weights<f32, 4, ROWS_B, STEP_B, BK, CONVOLUTION> right(w, pitch, c, p, row_b(), n0 + column_b());
    const float* tile = run(left, right, (p.columns(c) + BK - 1) / BK, wideDy, wideW);
    store_pixels<f32, B, B, THREADS>(tile, dx, c, p, m0, n0);
  }

  static DEVICE void weight(const f32* x, const f32* dy, float* sums, const Convolution& c, int parts, int rows, int wideX,
                            int wideDy) {
    int matrix = blockIdx.z / parts;
    int pixels = c.batch * c.outHeight * c.outWidth;
    int first = (blockIdx.z - matrix * parts) * rows;
    int end = min(pixels, first + rows);
    int columns = c.kernelHeight * c.kernelWidth * c.in;
    int m0 = blockIdx.x * B;
    int n0 = blockIdx.y * B;
    x += (i64)matrix * c.batch * c.height * c.width * c.in;
    dy += (i64)matrix * pixels * c.out;
    Pixels<f32, 4, ROWS_A, STEP_A, BK> left(dy, c.out, first + row_a(), end, m0 + column_a());
    Patches<f32, 4, ROWS_B, STEP_B, BK> right(x, c, first + row_b(), end, n0 + column_b());
    const float* tile = run(left, right, (end - first + BK - 1) / BK, wideDy, wideX);
    store_sums<B, B, THREADS>(tile, sums + (i64)blockIdx.z * c.out * columns, c.out, columns, m0, n0);
  }
};

#define PRODUCT(B)                                                                                \
  KERNEL(linearInput_bwd_f32_##B##x##B, THREADS, 1, INPUT_PARAMETERS(f32)) {                      \
    after_kernels_before();                                                                       \
    Product<B, false>::input<false>(dy, w, dx, c, pitch, wideDy, wideW);                          \
  }                                                                                               \
  KERNEL(conv2dInput_bwd_f32_##B##x##B, THREADS, 1, INPUT_PARAMETERS(f32)) {                      \
    after_kernels_before();                                                                       \
    Product<B, false>::input<true>(dy, w, dx, c, pitch, wideDy, wideW);                           \
  }                                                                                               \
  KERNEL(conv2dWeight_bwd_f32_##B##x##B, THREADS, 1, WEIGHT_PARAMETERS(f32)) {                    \
    after_kernels_before();                                                                       \
    Product<B, true>::weight(x, dy, sums, c, parts, rows, wideX, wideDy);                         \
  }

PRODUCT(64)
PRODUCT(128)
