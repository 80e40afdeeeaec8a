// Operations on single elements: limited by memory, so 16 bytes a thread wherever the operands are aligned (`wide`).
#include "device.cuh"

template <class T, class F>
DEVICE void map(const T* x, T* y, i64 n, int wide, F f) {
  if (wide) {
    typedef typename Wide<T>::Type Vector;
    i64 vectors = n / Wide<T>::N;
    for (i64 i = grid_thread(); i < vectors; i += grid_threads()) {
      Vector v = ((const Vector*)x)[i];
      UNROLL
      for (int j = 0; j < Wide<T>::N; j++) {
        v.at[j] = from_float<T>(f(to_float(v.at[j])));
      }
      ((Vector*)y)[i] = v;
    }
    i64 rest = vectors * Wide<T>::N + grid_thread();
    if (rest < n) {
      y[rest] = from_float<T>(f(to_float(x[rest])));
    }
    return;
  }
  for (i64 i = grid_thread(); i < n; i += grid_threads()) {
    y[i] = from_float<T>(f(to_float(x[i])));
  }
}

// [rows, 2 n] -> [rows, n]
template <class T, int N>
DEVICE void gated_gelu(const T* x, T* y, i64 rows, int n) {
  typedef Pack<T, N> Vector;
  int vectors = n / N;
  for (i64 i = grid_thread(); i < rows * vectors; i += grid_threads()) {
    i64 from = i / vectors * 2 * n + i % vectors * N;
    Vector hidden = *(const Vector*)(x + from);
    Vector gate = *(const Vector*)(x + from + n);
    UNROLL
    for (int j = 0; j < N; j++) {
      hidden.at[j] = from_float<T>(to_float(hidden.at[j]) * gelu(to_float(gate.at[j])));
    }
    ((Vector*)y)[i] = hidden;
  }
}

constexpr int MAX_TERMS = 32;
struct Terms {
  u64 xs[MAX_TERMS];
  float coefficients[MAX_TERMS];
};

// A scheduler's step and the guidance in one pass: every operand is read once, the sum stays in f32.
template <class T, int N>
DEVICE void linear_combination(const Terms& terms, int count, T* y, i64 n) {
  typedef Pack<T, N> Vector;
  i64 vectors = n / N;
  for (i64 i = grid_thread(); i < vectors; i += grid_threads()) {
    float sum[N];
    UNROLL
    for (int j = 0; j < N; j++) {
      sum[j] = 0;
    }
    for (int t = 0; t < count; t++) {
      Vector v = ((const Vector*)terms.xs[t])[i];
      UNROLL
      for (int j = 0; j < N; j++) {
        sum[j] += terms.coefficients[t] * to_float(v.at[j]);
      }
    }
    Vector result;
    UNROLL
    for (int j = 0; j < N; j++) {
      result.at[j] = from_float<T>(sum[j]);
    }
    ((Vector*)y)[i] = result;
  }
  i64 rest = vectors * N + grid_thread();
  if (rest < n) {
    float sum = 0;
    for (int t = 0; t < count; t++) {
      sum += terms.coefficients[t] * to_float(((const T*)terms.xs[t])[rest]);
    }
    y[rest] = from_float<T>(sum);
  }
}

#define POINTWISE(T)                                                                                            \
  KERNEL(activation_fwd_##T, 256, 4, (const T* x, T* y, i64 n, int wide, int kind)) {                           \
    map(x, y, n, wide, [=](float value) { return activate(value, kind); });                                     \
  }                                                                                                             \
  KERNEL(clamp_fwd_##T, 256, 4, (const T* x, T* y, i64 n, int wide, float low, float high)) {                   \
    map(x, y, n, wide, [=](float value) { return value < low ? low : value > high ? high : value; });           \
  }                                                                                                             \
  KERNEL(gatedGelu_fwd_##T, 256, 4, (const T* x, T* y, i64 rows, int n, int wide)) {                            \
    if (wide) {                                                                                                 \
      gated_gelu<T, Wide<T>::N>(x, y, rows, n);                                                                 \
    } else {                                                                                                    \
      gated_gelu<T, 1>(x, y, rows, n);                                                                          \
    }                                                                                                           \
  }                                                                                                             \
  KERNEL(linearCombination_fwd_##T, 256, 4, (const Terms terms, int count, T* y, i64 n, int wide)) {            \
    if (wide) {                                                                                                 \
      linear_combination<T, Wide<T>::N>(terms, count, y, n);                                                    \
    } else {                                                                                                    \
      linear_combination<T, 1>(terms, count, y, n);                                                             \
    }                                                                                                           \
  }

POINTWISE(f32)
POINTWISE(bf16)
POINTWISE(f16)

#define CAST(S, T)                                                            \
  KERNEL(cast_fwd_##S##_##T, 256, 4, (const S* x, T* y, i64 n)) {             \
    for (i64 i = grid_thread(); i < n; i += grid_threads()) {                 \
      y[i] = from_float<T>(to_float(x[i]));                                   \
    }                                                                         \
  }

CAST(f32, bf16)
CAST(f32, f16)
CAST(bf16, f32)
CAST(bf16, f16)
CAST(f16, f32)
CAST(f16, bf16)
