// Matrix products and implicit-GEMM convolutions in f32, on plain FMA: every product is rounded to f32, never to TF32.
#include "product.cuh"

constexpr int BK = 16;
constexpr int THREADS = 256;

template <int B, bool CONVOLUTION, bool DOUBLED = false>
struct Product {
  static constexpr int PITCH = B + 4;
  static constexpr int R = B / 16;  // a thread computes R x R
  static constexpr int CHUNKS = BK / 4;
  static constexpr int ROWS_AT_ONCE = THREADS / CHUNKS;
  static constexpr int ROWS = B / ROWS_AT_ONCE;

  template <class F>
  static DEVICE void run(const f32* x, const f32* w, const F& finish, const Geometry& g, int K, int pitch, int wide) {
    SHARED_BYTES(shared);
    float* a = (float*)shared;  // [BK][PITCH], transposed
    float* b = a + BK * PITCH;
    int thread = threadIdx.x;
    int chunk = thread % CHUNKS * 4;
    int firstRow = thread / CHUNKS;
    int m0 = blockIdx.x * B;
    int n0 = blockIdx.y * B;
    Patch<f32, DOUBLED> patches[ROWS];
    UNROLL
    for (int i = 0; i < ROWS; i++) {
      patches[i] = Patch<f32, DOUBLED>::of(x, g, m0 + firstRow + i * ROWS_AT_ONCE, finish.M);
    }
    float sums[R][R];
    UNROLL
    for (int i = 0; i < R; i++) {
      UNROLL
      for (int j = 0; j < R; j++) {
        sums[i][j] = 0;
      }
    }
    int tx = thread % 16 * R;
    int ty = thread / 16 * R;
    for (int k0 = 0; k0 < K; k0 += BK) {
      int k = k0 + chunk;
      Pack<f32, 4> nextA[ROWS];
      Pack<f32, 4> nextB[ROWS];
      int tap = CONVOLUTION ? k / g.channels : 0;
      int channel = CONVOLUTION ? k - tap * g.channels : k;
      UNROLL
      for (int i = 0; i < ROWS; i++) {
        nextA[i] = Pack<f32, 4>{};
        nextB[i] = Pack<f32, 4>{};
        if (wide) {
          const f32* from = k < K ? patches[i].at(g, tap, channel) : nullptr;
          if (from != nullptr) {
            nextA[i] = *(const Pack<f32, 4>*)from;
          }
        } else {
          UNROLL
          for (int j = 0; j < 4; j++) {
            int t = CONVOLUTION ? (k + j) / g.channels : 0;
            const f32* from = k + j < K ? patches[i].at(g, t, k + j - t * g.channels) : nullptr;
            if (from != nullptr) {
              nextA[i].at[j] = *from;
            }
          }
        }
        int n = n0 + firstRow + i * ROWS_AT_ONCE;
        if (n < finish.N && k < pitch) {
          nextB[i] = *(const Pack<f32, 4>*)(w + (i64)n * pitch + k);
        }
      }
      BARRIER();
      UNROLL
      for (int i = 0; i < ROWS; i++) {
        UNROLL
        for (int j = 0; j < 4; j++) {
          a[(chunk + j) * PITCH + firstRow + i * ROWS_AT_ONCE] = nextA[i].at[j].value;
          b[(chunk + j) * PITCH + firstRow + i * ROWS_AT_ONCE] = nextB[i].at[j].value;
        }
      }
      BARRIER();
      UNROLL
      for (int kk = 0; kk < BK; kk++) {
        Pack<float, 4> rowA[R / 4];
        Pack<float, 4> rowB[R / 4];
        UNROLL
        for (int i = 0; i < R / 4; i++) {
          rowA[i] = *(const Pack<float, 4>*)(a + kk * PITCH + ty + 4 * i);
          rowB[i] = *(const Pack<float, 4>*)(b + kk * PITCH + tx + 4 * i);
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
    // Through shared memory, so that what follows is compiled once, not for every sum, and is coalesced.
    BARRIER();
    float* tile = (float*)shared;  // [B][PITCH]
    UNROLL
    for (int i = 0; i < R; i++) {
      UNROLL
      for (int j = 0; j < R; j++) {
        tile[(ty + i) * PITCH + tx + j] = sums[i][j];
      }
    }
    BARRIER();
    for (int i = thread; i < B * B / 2; i += THREADS) {
      int row = i / (B / 2);
      int column = i % (B / 2) * 2;
      const float* pair = tile + row * PITCH + column;
      finish.pair(m0 + row, n0 + column, pair[0], pair[1]);
    }
  }
};

#define PRODUCT(B)                                                                                                      \
  KERNEL(linear_fwd_f32_##B##x##B, THREADS, 1, PRODUCT_PARAMETERS(f32)) {                                               \
    after_kernels_before();                                                                                             \
    Product<B, false>::run(x + blockIdx.z * strideX, w + blockIdx.z * strideW, PRODUCT_FINISH(f32), g, K, pitch, wide); \
  }                                                                                                                     \
  KERNEL(conv2d_fwd_f32_##B##x##B, THREADS, 1, PRODUCT_PARAMETERS(f32)) {                                               \
    after_kernels_before();                                                                                             \
    Product<B, true>::run(x + blockIdx.z * strideX, w + blockIdx.z * strideW, PRODUCT_FINISH(f32), g, K, pitch, wide);  \
  }                                                                                                                     \
  KERNEL(conv2dDoubled_fwd_f32_##B##x##B, THREADS, 1, PRODUCT_PARAMETERS(f32)) {                                        \
    after_kernels_before();                                                                                             \
    Product<B, true, true>::run(x, w, PRODUCT_FINISH(f32), g, K, pitch, wide);                                          \
  }                                                                                                                     \
  KERNEL(geglu_bwd_f32_##B##x##B, THREADS, 1, GEGLU_PARAMETERS(f32)) {                                                  \
    after_kernels_before();                                                                                             \
    GegluGradient<f32> finish{bias, dy, dz, M, N};                                                                      \
    Product<B, false>::run(x, w, finish, g, K, pitch, wide);                                                            \
  }

PRODUCT(64)
PRODUCT(128)
