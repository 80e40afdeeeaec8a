// Operations on the rows of [rows, C]. A team computes a row: a warp, or, for long rows, the whole block.
#include "device.cuh"

// Both for all threads of a team. Teams of more than a warp are blocks.
DEVICE float team_sum(float x, int team) {
  x = warp_sum(x);
  if (team == 32) {
    return x;
  }
  SHARED_BYTES(shared);
  float* parts = (float*)shared;
  BARRIER();  // what was here has been read
  parts[threadIdx.x / 32] = x;
  BARRIER();
  x = 0;
  for (int warp = 0; warp < team / 32; warp++) {
    x += parts[warp];
  }
  return x;
}
DEVICE float team_max(float x, int team) {
  x = warp_max(x);
  if (team == 32) {
    return x;
  }
  SHARED_BYTES(shared);
  float* parts = (float*)shared;
  BARRIER();
  parts[threadIdx.x / 32] = x;
  BARRIER();
  x = parts[0];
  for (int warp = 1; warp < team / 32; warp++) {
    x = fmaxf(x, parts[warp]);
  }
  return x;
}

DEVICE i64 team_row(int team) { return (i64)blockIdx.x * (blockDim.x / team) + threadIdx.x / team; }

// f(value) for the thread's part of a row.
template <class T, int N, class F>
DEVICE void each(const T* row, int C, int team, F f) {
  for (int i = threadIdx.x % team; i < C / N; i += team) {
    Pack<T, N> v = ((const Pack<T, N>*)row)[i];
    UNROLL
    for (int j = 0; j < N; j++) {
      f(to_float(v.at[j]));
    }
  }
}
// f(a, b) for the thread's part of two rows.
template <class T, int N, class F>
DEVICE void each(const T* a, const T* b, int C, int team, F f) {
  for (int i = threadIdx.x % team; i < C / N; i += team) {
    Pack<T, N> v = ((const Pack<T, N>*)a)[i];
    Pack<T, N> w = ((const Pack<T, N>*)b)[i];
    UNROLL
    for (int j = 0; j < N; j++) {
      f(to_float(v.at[j]), to_float(w.at[j]));
    }
  }
}
// y = f(x)
template <class T, int N, class F>
DEVICE void map_row(const T* x, T* y, int C, int team, F f) {
  for (int i = threadIdx.x % team; i < C / N; i += team) {
    Pack<T, N> v = ((const Pack<T, N>*)x)[i];
    UNROLL
    for (int j = 0; j < N; j++) {
      v.at[j] = from_float<T>(f(to_float(v.at[j])));
    }
    ((Pack<T, N>*)y)[i] = v;
  }
}

template <class T, int N>
DEVICE void row_dots(const T* a, const T* b, f32* y, i64 rows, int C, int team) {
  i64 row = team_row(team);
  if (row >= rows) {
    return;
  }
  float sum = 0;
  each<T, N>(a + row * C, b + row * C, C, team, [&](float left, float right) { sum += left * right; });
  sum = team_sum(sum, team);
  if (threadIdx.x % team == 0) {
    y[row].value = sum;
  }
}

template <class T, int N>
DEVICE void normalize_rows(const T* x, T* y, i64 rows, int C, int team) {
  i64 row = team_row(team);
  if (row >= rows) {
    return;
  }
  float squares = 0;
  each<T, N>(x + row * C, C, team, [&](float value) { squares += value * value; });
  float norm = sqrtf(team_sum(squares, team));
  map_row<T, N>(x + row * C, y + row * C, C, team, [=](float value) { return value / norm; });
}

// dx = (dy - y (y . dy)) / |x|
template <class T, int N>
DEVICE void normalize_rows_gradient(const T* x, const T* dy, T* dx, i64 rows, int C, int team) {
  i64 row = team_row(team);
  if (row >= rows) {
    return;
  }
  float squares = 0;
  float dot = 0;
  each<T, N>(x + row * C, dy + row * C, C, team, [&](float value, float d) {
    squares += value * value;
    dot += value * d;
  });
  squares = team_sum(squares, team);
  float along = team_sum(dot, team) / squares;
  float norm = sqrtf(squares);
  for (int i = threadIdx.x % team; i < C / N; i += team) {
    Pack<T, N> v = ((const Pack<T, N>*)(x + row * C))[i];
    Pack<T, N> d = ((const Pack<T, N>*)(dy + row * C))[i];
    UNROLL
    for (int j = 0; j < N; j++) {
      v.at[j] = from_float<T>((to_float(d.at[j]) - to_float(v.at[j]) * along) / norm);
    }
    ((Pack<T, N>*)(dx + row * C))[i] = v;
  }
}

// The largest value of a row, and the sum of exp(x - largest).
template <class T, int N>
DEVICE void exponentials(const T* row, int C, int team, float& largest, float& sum) {
  float most = MINUS_INFINITY;
  each<T, N>(row, C, team, [&](float value) { most = fmaxf(most, value); });
  most = team_max(most, team);
  float part = 0;
  each<T, N>(row, C, team, [&](float value) { part += expf(value - most); });
  largest = most;
  sum = team_sum(part, team);
}

template <class T, int N>
DEVICE void log_sum_exp(const T* x, f32* y, i64 rows, int C, int team) {
  i64 row = team_row(team);
  if (row >= rows) {
    return;
  }
  float largest;
  float sum;
  exponentials<T, N>(x + row * C, C, team, largest, sum);
  if (threadIdx.x % team == 0) {
    y[row].value = largest + logf(sum);
  }
}

// dx = dy softmax(x), with one dy a row
template <class T, int N>
DEVICE void log_sum_exp_gradient(const T* x, const f32* dy, T* dx, i64 rows, int C, int team) {
  i64 row = team_row(team);
  if (row >= rows) {
    return;
  }
  float largest;
  float sum;
  exponentials<T, N>(x + row * C, C, team, largest, sum);
  float factor = dy[row].value / sum;
  map_row<T, N>(x + row * C, dx + row * C, C, team, [=](float value) { return factor * expf(value - largest); });
}

template <class T, int N>
DEVICE void scale_rows(const T* x, const f32* factors, T* y, i64 rows, int C) {
  int vectors = C / N;
  for (i64 i = grid_thread(); i < rows * vectors; i += grid_threads()) {
    Pack<T, N> v = ((const Pack<T, N>*)x)[i];
    float factor = factors[i / vectors].value;
    UNROLL
    for (int j = 0; j < N; j++) {
      v.at[j] = from_float<T>(factor * to_float(v.at[j]));
    }
    ((Pack<T, N>*)y)[i] = v;
  }
}

// The opposite of gathering: block (i, tile) adds the rows sources[starts[i] ...] of dy, in that order, to row targets[i].
template <class T, int N>
DEVICE void gather_rows_gradient(const T* dy, const int* targets, const int* starts, const int* sources, T* dx, i64 C) {
  typedef Pack<T, N> Vector;
  i64 vectors = C / N;
  i64 column = (i64)blockIdx.y * blockDim.x + threadIdx.x;
  if (column >= vectors) {
    return;
  }
  float sum[N];
  UNROLL
  for (int j = 0; j < N; j++) {
    sum[j] = 0;
  }
  int end = starts[blockIdx.x + 1];
  for (int i = starts[blockIdx.x]; i < end; i++) {
    Vector v = ((const Vector*)dy)[sources[i] * vectors + column];
    UNROLL
    for (int j = 0; j < N; j++) {
      sum[j] += to_float(v.at[j]);
    }
  }
  Vector result;
  UNROLL
  for (int j = 0; j < N; j++) {
    result.at[j] = from_float<T>(sum[j]);
  }
  ((Vector*)dx)[targets[blockIdx.x] * vectors + column] = result;
}

// Calls f<T, N> with as many elements a load as `wide` allows.
#define EITHER(T, f, ...)               \
  if (wide) {                           \
    f<T, Wide<T>::N>(__VA_ARGS__);      \
  } else {                              \
    f<T, 1>(__VA_ARGS__);               \
  }

#define ROWS(T)                                                                                                     \
  KERNEL(rowDots_fwd_##T, 256, 4, (const T* a, const T* b, f32* y, i64 rows, int C, int team, int wide)) {          \
    after_kernels_before();                                                                                         \
    EITHER(T, row_dots, a, b, y, rows, C, team)                                                                     \
  }                                                                                                                 \
  KERNEL(normalizeRows_fwd_##T, 256, 4, (const T* x, T* y, i64 rows, int C, int team, int wide)) {                  \
    after_kernels_before();                                                                                         \
    EITHER(T, normalize_rows, x, y, rows, C, team)                                                                  \
  }                                                                                                                 \
  KERNEL(normalizeRows_bwd_##T, 256, 4, (const T* x, const T* dy, T* dx, i64 rows, int C, int team, int wide)) {    \
    after_kernels_before();                                                                                         \
    EITHER(T, normalize_rows_gradient, x, dy, dx, rows, C, team)                                                    \
  }                                                                                                                 \
  KERNEL(logSumExp_fwd_##T, 256, 4, (const T* x, f32* y, i64 rows, int C, int team, int wide)) {                    \
    after_kernels_before();                                                                                         \
    EITHER(T, log_sum_exp, x, y, rows, C, team)                                                                     \
  }                                                                                                                 \
  KERNEL(logSumExp_bwd_##T, 256, 4, (const T* x, const f32* dy, T* dx, i64 rows, int C, int team, int wide)) {      \
    after_kernels_before();                                                                                         \
    EITHER(T, log_sum_exp_gradient, x, dy, dx, rows, C, team)                                                       \
  }                                                                                                                 \
  KERNEL(scaleRows_fwd_##T, 256, 4, (const T* x, const f32* factors, T* y, i64 rows, int C, int wide)) {            \
    after_kernels_before();                                                                                         \
    EITHER(T, scale_rows, x, factors, y, rows, C)                                                                   \
  }                                                                                                                 \
  KERNEL(gatherRows_bwd_##T, 256, 4,                                                                                \
         (const T* dy, const int* targets, const int* starts, const int* sources, T* dx, i64 C, int wide)) {        \
    after_kernels_before();                                                                                         \
    EITHER(T, gather_rows_gradient, dy, targets, starts, sources, dx, C)                                            \
  }

ROWS(f32)
ROWS(bf16)
ROWS(f16)
