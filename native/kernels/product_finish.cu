// What follows a product that is there as sums in f32 [parts, M, N], of cuBLAS or of parts of K: the epilogue of product.cuh;
// and the sums of the parts that gradients are computed in.
#include "product.cuh"

template <class T>
DEVICE void finish_all(const float* sums, int parts, const Finish<T>& finish) {
  int columns = (finish.N + 7) / 8;
  i64 size = (i64)finish.M * finish.N;
  bool wide = finish.N % 8 == 0 && ((u64)sums & 15) == 0;
  for (i64 i = grid_thread(); i < (i64)finish.M * columns; i += grid_threads()) {
    int m = (int)(i / columns);
    int n = (int)(i % columns) * 8;
    const float* from = sums + (i64)m * finish.N + n;
    Pack<float, 8> eight;
    UNROLL
    for (int j = 0; j < 8; j++) {
      eight.at[j] = 0;
    }
    for (int part = 0; part < parts; part++) {
      if (wide) {
        Pack<float, 4> low = *(const Pack<float, 4>*)from;
        Pack<float, 4> high = *(const Pack<float, 4>*)(from + 4);
        UNROLL
        for (int j = 0; j < 4; j++) {
          eight.at[j] += low.at[j];
          eight.at[j + 4] += high.at[j];
        }
      } else {
        UNROLL
        for (int j = 0; j < 8; j++) {
          eight.at[j] += n + j < finish.N ? from[j] : 0.0f;
        }
      }
      from += size;
    }
    finish_columns(finish, m, n, eight.at);
  }
}

#define FINISH(T)                                                                                                     \
  KERNEL(finish_fwd_##T, 256, 4,                                                                                      \
         (const float* sums, int parts, const float* bias, const T* channelBias, const T* residual, T* y, int M, int N, \
          int rowsPerBatch, int activation, int gated)) {                                                             \
    after_kernels_before();                                                                                           \
    finish_all(sums, parts, Finish<T>{bias, channelBias, residual, y, M, N, rowsPerBatch, activation, gated});        \
  }

FINISH(f32)
FINISH(bf16)
FINISH(f16)

// parts [matrices][parts][size] -> y [matrices][size]. Rows of `size` are [taps][channels] in the parts and
// [channels][taps] in y, as torch stores weights.
template <class T>
DEVICE void sum_parts(const float* parts, T* y, i64 total, i64 size, int count, int taps, int channels) {
  for (i64 i = grid_thread(); i < total; i += grid_threads()) {
    i64 matrix = i / size;
    i64 at = i - matrix * size;
    if (taps > 1) {
      i64 row = at / (taps * channels);
      int rest = (int)(at - row * taps * channels);
      at = row * taps * channels + rest % taps * channels + rest / taps;
    }
    const float* from = parts + matrix * count * size + at;
    float sum = 0;
    for (int part = 0; part < count; part++) {
      sum += from[part * size];
    }
    y[i] = from_float<T>(sum);
  }
}

#define SUM(T)                                                                                                      \
  KERNEL(sumParts_bwd_##T, 256, 4,                                                                                  \
         (const float* parts, T* y, i64 total, i64 size, int count, int taps, int channels)) {                      \
    after_kernels_before();                                                                                         \
    sum_parts(parts, y, total, size, count, taps, channels);                                                        \
  }

SUM(f32)
SUM(bf16)
SUM(f16)
