// What follows a product that cuBLAS computed: the epilogue of product.cuh over sums in f32 [M, N].
#include "product.cuh"

template <class T>
DEVICE void finish_all(const float* sums, const Finish<T>& finish) {
  int pairs = (finish.N + 1) / 2;
  for (i64 i = grid_thread(); i < (i64)finish.M * pairs; i += grid_threads()) {
    int m = (int)(i / pairs);
    int n = (int)(i % pairs) * 2;
    const float* sum = sums + (i64)m * finish.N + n;
    finish.pair(m, n, sum[0], n + 1 < finish.N ? sum[1] : 0.0f);
  }
}

#define FINISH(T)                                                                                                     \
  KERNEL(finish_fwd_##T, 256, 4,                                                                                      \
         (const float* sums, const float* bias, const T* channelBias, const T* residual, T* y, int M, int N,          \
          int rowsPerBatch, int activation, int gated)) {                                                             \
    finish_all(sums, Finish<T>{bias, channelBias, residual, y, M, N, rowsPerBatch, activation, gated});               \
  }

FINISH(f32)
FINISH(bf16)
FINISH(f16)
