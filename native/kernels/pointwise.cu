// Operations on single elements: limited by memory, so 16 bytes a thread wherever the operands are aligned (`wide`).
#include "pointwise.cuh"

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
constexpr int AT_ONCE = 2;  // loads that are under way together
struct Terms {
  u64 xs[MAX_TERMS];
  float coefficients[MAX_TERMS];
};

// A scheduler's step and the guidance in one pass: every operand is read once, the sum stays in f32.
template <class T, int N>
DEVICE void linear_combination(const Terms& terms, int count, T* y, i64 n) {
  typedef Pack<T, N> Vector;
  i64 vectors = n / N;
  i64 apart = grid_threads();
  for (i64 i = grid_thread(); i < vectors; i += AT_ONCE * apart) {
    float sum[AT_ONCE][N];
    UNROLL
    for (int j = 0; j < AT_ONCE * N; j++) {
      sum[j / N][j % N] = 0;
    }
    for (int t = 0; t < count; t++) {
      const Vector* x = (const Vector*)terms.xs[t] + i;
      Vector v[AT_ONCE];
      UNROLL
      for (int u = 0; u < AT_ONCE; u++) {
        v[u] = x[i + u * apart < vectors ? u * apart : 0];
      }
      UNROLL
      for (int j = 0; j < AT_ONCE * N; j++) {
        sum[j / N][j % N] += terms.coefficients[t] * to_float(v[j / N].at[j % N]);
      }
    }
    UNROLL
    for (int u = 0; u < AT_ONCE; u++) {
      Vector result;
      UNROLL
      for (int j = 0; j < N; j++) {
        result.at[j] = from_float<T>(sum[u][j]);
      }
      if (i + u * apart < vectors) {
        ((Vector*)y)[i + u * apart] = result;
      }
    }
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

// sqrt(x^2 + c^2) - c without losing the digits of a small x.
DEVICE float pseudo_huber(float x, float c) {
  float root = hypotf(x, c);
  return root > 3.0f * c ? root - c : x * (x / (root + c));
}

// The hash of dev.longalign.tensor.Dropout, bit for bit.
struct DropoutKey {
  u32 low;
  u32 high;
};
DEVICE u32 dropout_bits(i64 index, DropoutKey key) {
  u32 z = (u32)index * 0x9e3779b9u + key.low + (u32)((u64)index >> 32) * 0x85ebca6bu;
  z = ((z ^ (z >> 16)) * 0x21f0aaadu) ^ key.high;
  z = (z ^ (z >> 15)) * 0xd35a2d97u;
  return (z ^ (z >> 15)) >> 8;
}

template <class T, int N>
DEVICE void expand(float value, T* y, i64 n) {
  Pack<T, N> v;
  UNROLL
  for (int j = 0; j < N; j++) {
    v.at[j] = from_float<T>(value);
  }
  i64 vectors = n / N;
  for (i64 i = grid_thread(); i < vectors; i += grid_threads()) {
    ((Pack<T, N>*)y)[i] = v;
  }
  i64 rest = vectors * N + grid_thread();
  if (rest < n) {
    y[rest] = v.at[0];
  }
}

#define POINTWISE(T)                                                                                            \
  KERNEL(activation_fwd_##T, 256, 4, (const T* x, T* y, i64 n, int wide, int kind)) {                           \
    after_kernels_before();                                                                                     \
    map(x, y, n, wide, [=](float value) { return activate(value, kind); });                                     \
  }                                                                                                             \
  KERNEL(clamp_fwd_##T, 256, 4, (const T* x, T* y, i64 n, int wide, float low, float high)) {                   \
    after_kernels_before();                                                                                     \
    map(x, y, n, wide, [=](float value) { return value < low ? low : value > high ? high : value; });           \
  }                                                                                                             \
  KERNEL(gatedGelu_fwd_##T, 256, 4, (const T* x, T* y, i64 rows, int n, int wide)) {                            \
    after_kernels_before();                                                                                     \
    if (wide) {                                                                                                 \
      gated_gelu<T, Wide<T>::N>(x, y, rows, n);                                                                 \
    } else {                                                                                                    \
      gated_gelu<T, 1>(x, y, rows, n);                                                                          \
    }                                                                                                           \
  }                                                                                                             \
  KERNEL(linearCombination_fwd_##T, 256, 4, (const Terms terms, int count, T* y, i64 n, int wide)) {            \
    after_kernels_before();                                                                                     \
    if (wide) {                                                                                                 \
      linear_combination<T, Wide<T>::N>(terms, count, y, n);                                                    \
    } else {                                                                                                    \
      linear_combination<T, 1>(terms, count, y, n);                                                             \
    }                                                                                                           \
  }

#define TRAINING(T)                                                                                             \
  KERNEL(multiply_fwd_##T, 256, 4, (const T* a, const T* b, T* y, i64 n, int wide)) {                           \
    after_kernels_before();                                                                                     \
    zip(a, b, y, n, wide, [=](float left, float right) { return left * right; });                               \
  }                                                                                                             \
  KERNEL(dropout_fwd_##T, 256, 4, (const T* x, T* y, i64 n, int wide, u32 low, u32 high, u32 least, float kept)) { \
    after_kernels_before();                                                                                        \
    DropoutKey key = {low, high};                                                                               \
    map_indexed(x, y, n, wide, [=](i64 i, float value) {                                                        \
      return dropout_bits(i, key) >= least ? value * kept : 0.0f;                                               \
    });                                                                                                         \
  }                                                                                                             \
  KERNEL(pseudoHuber_fwd_##T, 256, 4, (const T* x, T* y, i64 n, int wide, float c)) {                           \
    after_kernels_before();                                                                                     \
    map(x, y, n, wide, [=](float value) { return pseudo_huber(value, c); });                                    \
  }                                                                                                             \
  KERNEL(scaleExp_fwd_##T, 256, 4, (const T* x, T* y, i64 n, int wide, const f32* logScale)) {                  \
    after_kernels_before();                                                                                     \
    float scale = expf(to_float(*logScale));                                                                    \
    map(x, y, n, wide, [=](float value) { return scale * value; });                                             \
  }                                                                                                             \
  KERNEL(expand_fwd_##T, 256, 4, (const f32* scalar, T* y, i64 n, int wide)) {                                  \
    after_kernels_before();                                                                                     \
    if (wide) {                                                                                                 \
      expand<T, Wide<T>::N>(to_float(*scalar), y, n);                                                           \
    } else {                                                                                                    \
      expand<T, 1>(to_float(*scalar), y, n);                                                                    \
    }                                                                                                           \
  }

POINTWISE(f32)
POINTWISE(bf16)
POINTWISE(f16)

TRAINING(f32)
TRAINING(bf16)
TRAINING(f16)

#define CAST(S, T)                                                            \
  KERNEL(cast_fwd_##S##_##T, 256, 4, (const S* x, T* y, i64 n)) {             \
    after_kernels_before();                                                   \
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
