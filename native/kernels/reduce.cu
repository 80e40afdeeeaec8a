// Sums of columns in f32, sums of everything in double precision. No atomics: the same input gives the same bits.
#include "reduce.cuh"

template <class T, int N>
DEVICE void sum_columns(const T* x, f32* y, i64 rows, int C, i64 chunkRows) {
  float* const to[1] = {(float*)y};
  column_sums<N, 1>(to, rows, C, chunkRows, [=](i64 row, int column, float(&sums)[1][N]) {
    Pack<T, N> v = *(const Pack<T, N>*)(x + row * C + column);
    UNROLL
    for (int j = 0; j < N; j++) {
      sums[0][j] += to_float(v.at[j]);
    }
  });
}

// The block's sum, for thread 0.
DEVICE double block_sum(double x) {
  SHARED_BYTES(shared);
  double* scratch = (double*)shared;
  scratch[threadIdx.x] = x;
  for (int half = blockDim.x / 2; half > 0; half /= 2) {
    BARRIER();
    if ((int)threadIdx.x < half) {
      scratch[threadIdx.x] += scratch[threadIdx.x + half];
    }
  }
  return scratch[0];
}

template <class T, int N, class F>
DEVICE void partial_sums(const T* x, double* partial, i64 n, F f) {
  double sum = 0;
  for (i64 i = grid_thread(); i < n / N; i += grid_threads()) {
    Pack<T, N> v = ((const Pack<T, N>*)x)[i];
    UNROLL
    for (int j = 0; j < N; j++) {
      sum += f(to_float(v.at[j]));
    }
  }
  i64 rest = n / N * N + grid_thread();
  if (rest < n) {
    sum += f(to_float(x[rest]));
  }
  double total = block_sum(sum);
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = total;
  }
}

template <class T, class F>
DEVICE void partial_sums(const T* x, double* partial, i64 n, int wide, F f) {
  if (wide) {
    partial_sums<T, Wide<T>::N>(x, partial, n, f);
  } else {
    partial_sums<T, 1>(x, partial, n, f);
  }
}

#define SUMS(T)                                                                                                \
  KERNEL(columnSums_fwd_##T, 256, 4, (const T* x, f32* y, i64 rows, int C, i64 chunkRows, int wide)) {         \
    after_kernels_before();                                                                                    \
    if (wide) {                                                                                                \
      sum_columns<T, Wide<T>::N>(x, y, rows, C, chunkRows);                                                    \
    } else {                                                                                                   \
      sum_columns<T, 1>(x, y, rows, C, chunkRows);                                                             \
    }                                                                                                          \
  }                                                                                                            \
  KERNEL(sumParts_fwd_##T, 256, 4, (const T* x, double* partial, i64 n, int wide)) {                           \
    after_kernels_before();                                                                                    \
    partial_sums(x, partial, n, wide, [](float value) { return (double)value; });                              \
  }                                                                                                            \
  KERNEL(sumOfSquaresParts_fwd_##T, 256, 4, (const T* x, double* partial, i64 n, int wide)) {                  \
    after_kernels_before();                                                                                    \
    partial_sums(x, partial, n, wide, [](float value) { return (double)value * value; });                      \
  }

SUMS(f32)
SUMS(bf16)
SUMS(f16)

// One block adds what the blocks of one or several launches left.
DEVICE double sum_parts(const double* partial, int count) {
  double sum = 0;
  for (int i = threadIdx.x; i < count; i += blockDim.x) {
    sum += partial[i];
  }
  return block_sum(sum);
}

KERNEL(sum_fwd_f32, 256, 1, (const double* partial, int count, f32* y)) {
  after_kernels_before();
  double sum = sum_parts(partial, count);
  if (threadIdx.x == 0) {
    y->value = (float)sum;
  }
}

KERNEL(sum_fwd_f64, 256, 1, (const double* partial, int count, double* y)) {
  after_kernels_before();
  double sum = sum_parts(partial, count);
  if (threadIdx.x == 0) {
    *y = sum;
  }
}
