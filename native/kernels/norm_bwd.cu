// Derivatives of GroupNorm with its activation, and of LayerNorm:
//   n = (x - mean) / deviation, z = gamma n + beta, y = activation(z), dz = dy activation'(z)
//   dx = (gamma dz - mean(gamma dz) - n mean(gamma dz n)) / deviation, means over what was normalised
//   dgamma = sum(dz n), dbeta = sum(dz)
// Means and deviations are computed again. No atomics: sums are left per chunk and added in order.
#include "norm.cuh"
#include "reduce.cuh"

// Block (chunk, b) adds its pixels of x[b]. groupParts [B][chunks][groups][2] gets the sums of gamma dz and gamma dz n over
// each group, betaParts and gammaParts [B][chunks][C] those of dz and dz n over each channel (null: not wanted).
template <class T, int N>
DEVICE void group_gradient_sums(const T* x, const T* dy, const float* partial, const float* gamma, const float* beta,
                                float* groupParts, float* gammaParts, float* betaParts, int pixels, int C, int groups,
                                int chunks, float eps, int activation, int chunkPixels) {
  SHARED_BYTES(shared);
  float* mean = (float*)shared;                   // [groups]
  float* scale = mean + groups;                   // [groups]
  float* scratch = scale + groups;                // [2][rows of threads][columns * N]
  float* channel = scratch + 2 * N * blockDim.x;  // [2][C]
  typedef Pack<T, N> Vector;
  i64 image = (i64)blockIdx.y * pixels * C;
  group_statistics(x + image, partial + (i64)blockIdx.y * chunks * groups * 2, pixels, C, groups, chunks, eps, mean,
                   scale, scratch);
  BARRIER();
  int perGroup = C / groups;
  int vectors = C / N;
  int from = blockIdx.x * chunkPixels;
  int to = min(pixels, from + chunkPixels);
  for (int start = 0; start < vectors; start += blockDim.x) {
    int columns = min(vectors - start, (int)blockDim.x);
    int rows = blockDim.x / columns;
    int column = threadIdx.x % columns;
    int row = threadIdx.x / columns;
    if (row < rows) {
      float sum[N];
      float along[N];
      float middle[N];
      float inverse[N];
      float factor[N];
      float shift[N];
      UNROLL
      for (int j = 0; j < N; j++) {
        int c = (start + column) * N + j;
        sum[j] = 0;
        along[j] = 0;
        middle[j] = mean[c / perGroup];
        inverse[j] = scale[c / perGroup];
        factor[j] = gamma[c];
        shift[j] = beta[c];
      }
      for (int pixel = from + row; pixel < to; pixel += rows) {
        i64 at = image + (i64)pixel * C + (start + column) * N;
        Vector v = *(const Vector*)(x + at);
        Vector d = *(const Vector*)(dy + at);
        UNROLL
        for (int j = 0; j < N; j++) {
          float n = (to_float(v.at[j]) - middle[j]) * inverse[j];
          float dz = to_float(d.at[j]) * activation_slope(n * factor[j] + shift[j], activation);
          sum[j] += dz;
          along[j] += dz * n;
        }
      }
      UNROLL
      for (int j = 0; j < N; j++) {
        scratch[(row * columns + column) * N + j] = sum[j];
        scratch[(row * columns + column) * N + j + N * blockDim.x] = along[j];
      }
    }
    BARRIER();
    for (int i = threadIdx.x; i < columns * N; i += blockDim.x) {
      float s = 0;
      float a = 0;
      for (int r = 0; r < rows; r++) {
        s += scratch[r * columns * N + i];
        a += scratch[r * columns * N + i + N * blockDim.x];
      }
      int c = start * N + i;
      channel[c] = s * gamma[c];
      channel[C + c] = a * gamma[c];
      i64 out = ((i64)blockIdx.y * gridDim.x + blockIdx.x) * C + c;
      if (gammaParts != nullptr) {
        gammaParts[out] = a;
      }
      if (betaParts != nullptr) {
        betaParts[out] = s;
      }
    }
    BARRIER();
  }
  for (int g = threadIdx.x; g < groups; g += blockDim.x) {
    float s = 0;
    float a = 0;
    for (int c = g * perGroup; c < (g + 1) * perGroup; c++) {
      s += channel[c];
      a += channel[C + c];
    }
    float* out = groupParts + (((i64)blockIdx.y * gridDim.x + blockIdx.x) * groups + g) * 2;
    out[0] = s;
    out[1] = a;
  }
}

template <class T, int N>
DEVICE void group_gradient(const T* x, const T* dy, const float* partial, const float* groupParts, const float* gamma,
                           const float* beta, T* dx, int pixels, int C, int groups, int chunks, float eps,
                           int activation, int chunkPixels) {
  SHARED_BYTES(shared);
  float* mean = (float*)shared;
  float* scale = mean + groups;
  float* meanDn = scale + groups;
  float* meanAlong = meanDn + groups;
  float* scratch = meanAlong + groups;  // [2][max(groups, threads)]
  typedef Pack<T, N> Vector;
  i64 image = (i64)blockIdx.y * pixels * C;
  i64 parts = (i64)blockIdx.y * chunks * groups * 2;
  int perGroup = C / groups;
  group_statistics(x + image, partial + parts, pixels, C, groups, chunks, eps, mean, scale, scratch);
  for (int g = threadIdx.x; g < groups; g += blockDim.x) {
    float s = 0;
    float a = 0;
    for (int chunk = 0; chunk < chunks; chunk++) {
      const float* in = groupParts + parts + ((i64)chunk * groups + g) * 2;
      s += in[0];
      a += in[1];
    }
    float count = (float)pixels * (float)perGroup;
    meanDn[g] = s / count;
    meanAlong[g] = a / count;
  }
  BARRIER();
  int vectors = C / N;
  int from = blockIdx.x * chunkPixels;
  int total = (min(pixels, from + chunkPixels) - from) * vectors;
  const Vector* in = (const Vector*)(x + image + (i64)from * C);
  const Vector* up = (const Vector*)(dy + image + (i64)from * C);
  Vector* out = (Vector*)(dx + image + (i64)from * C);
  for (int i = threadIdx.x; i < total; i += blockDim.x) {
    Vector v = in[i];
    Vector d = up[i];
    int c = i % vectors * N;
    UNROLL
    for (int j = 0; j < N; j++) {
      int g = (c + j) / perGroup;
      float n = (to_float(v.at[j]) - mean[g]) * scale[g];
      float factor = gamma[c + j];
      float dz = to_float(d.at[j]) * activation_slope(n * factor + beta[c + j], activation);
      v.at[j] = from_float<T>((factor * dz - meanDn[g] - n * meanAlong[g]) * scale[g]);
    }
    out[i] = v;
  }
}

// One warp per row of [rows, C]. Mean and reciprocal deviation go to statistics [rows][2] for the sums below; dx and
// statistics may be null.
template <class T, int N>
DEVICE void layer_gradient(const T* x, const float* gamma, const T* dy, T* dx, float* statistics, int rows, int C,
                           float eps) {
  typedef Pack<T, N> Vector;
  int row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
  if (row >= rows) {
    return;
  }
  int lane = lane_id();
  int vectors = C / N;
  const Vector* in = (const Vector*)(x + (i64)row * C);
  const Vector* up = (const Vector*)(dy + (i64)row * C);
  float mean;
  float scale;
  row_statistics<T, N>(in, C, eps, mean, scale);
  if (statistics != nullptr && lane == 0) {
    statistics[2 * (i64)row] = mean;
    statistics[2 * (i64)row + 1] = scale;
  }
  if (dx == nullptr) {
    return;
  }
  float dn = 0;
  float along = 0;
  for (int i = lane; i < vectors; i += 32) {
    Vector v = in[i];
    Vector d = up[i];
    UNROLL
    for (int j = 0; j < N; j++) {
      float scaled = to_float(d.at[j]) * gamma[i * N + j];
      dn += scaled;
      along += scaled * ((to_float(v.at[j]) - mean) * scale);
    }
  }
  float meanDn = warp_sum(dn) / (float)C;
  float meanAlong = warp_sum(along) / (float)C;
  Vector* out = (Vector*)(dx + (i64)row * C);
  for (int i = lane; i < vectors; i += 32) {
    Vector v = in[i];
    Vector d = up[i];
    UNROLL
    for (int j = 0; j < N; j++) {
      float n = (to_float(v.at[j]) - mean) * scale;
      v.at[j] = from_float<T>((to_float(d.at[j]) * gamma[i * N + j] - meanDn - n * meanAlong) * scale);
    }
    out[i] = v;
  }
}

// gammaParts and betaParts [chunks][C]; null: not wanted.
template <class T, int N>
DEVICE void layer_gradient_sums(const T* x, const T* dy, const float* statistics, float* gammaParts, float* betaParts,
                                int rows, int C, int chunkRows) {
  float* const to[2] = {gammaParts, betaParts};
  column_sums<N, 2>(to, rows, C, chunkRows, [=](i64 row, int column, float(&sums)[2][N]) {
    Pack<T, N> v = *(const Pack<T, N>*)(x + row * C + column);
    Pack<T, N> d = *(const Pack<T, N>*)(dy + row * C + column);
    float mean = statistics[2 * row];
    float scale = statistics[2 * row + 1];
    UNROLL
    for (int j = 0; j < N; j++) {
      sums[0][j] += to_float(d.at[j]) * ((to_float(v.at[j]) - mean) * scale);
      sums[1][j] += to_float(d.at[j]);
    }
  });
}

#define NORM_GRADIENTS(T)                                                                                             \
  KERNEL(groupNormSums_bwd_##T, 256, 2,                                                                               \
         (const T* x, const T* dy, const float* partial, const float* gamma, const float* beta, float* groupParts,    \
          float* gammaParts, float* betaParts, int pixels, int C, int groups, int chunks, float eps, int activation,  \
          int chunkPixels, int wide)) {                                                                               \
    after_kernels_before();                                                                                           \
    if (wide) {                                                                                                       \
      group_gradient_sums<T, Wide<T>::N>(x, dy, partial, gamma, beta, groupParts, gammaParts, betaParts, pixels, C,   \
                                         groups, chunks, eps, activation, chunkPixels);                               \
    } else {                                                                                                          \
      group_gradient_sums<T, 1>(x, dy, partial, gamma, beta, groupParts, gammaParts, betaParts, pixels, C, groups,    \
                                chunks, eps, activation, chunkPixels);                                                \
    }                                                                                                                 \
  }                                                                                                                   \
  KERNEL(groupNorm_bwd_##T, 256, 4,                                                                                   \
         (const T* x, const T* dy, const float* partial, const float* groupParts, const float* gamma,                 \
          const float* beta, T* dx, int pixels, int C, int groups, int chunks, float eps, int activation,             \
          int chunkPixels, int wide)) {                                                                               \
    after_kernels_before();                                                                                           \
    if (wide) {                                                                                                       \
      group_gradient<T, Wide<T>::N>(x, dy, partial, groupParts, gamma, beta, dx, pixels, C, groups, chunks, eps,      \
                                    activation, chunkPixels);                                                         \
    } else {                                                                                                          \
      group_gradient<T, 1>(x, dy, partial, groupParts, gamma, beta, dx, pixels, C, groups, chunks, eps, activation,   \
                           chunkPixels);                                                                              \
    }                                                                                                                 \
  }                                                                                                                   \
  KERNEL(layerNorm_bwd_##T, 128, 8,                                                                                   \
         (const T* x, const float* gamma, const T* dy, T* dx, float* statistics, int rows, int C, float eps,          \
          int wide)) {                                                                                                \
    after_kernels_before();                                                                                           \
    if (wide) {                                                                                                       \
      layer_gradient<T, Wide<T>::N>(x, gamma, dy, dx, statistics, rows, C, eps);                                      \
    } else {                                                                                                          \
      layer_gradient<T, 1>(x, gamma, dy, dx, statistics, rows, C, eps);                                               \
    }                                                                                                                 \
  }                                                                                                                   \
  KERNEL(layerNormSums_bwd_##T, 256, 4,                                                                               \
         (const T* x, const T* dy, const float* statistics, float* gammaParts, float* betaParts, int rows, int C,     \
          int chunkRows, int wide)) {                                                                                 \
    after_kernels_before();                                                                                           \
    if (wide) {                                                                                                       \
      layer_gradient_sums<T, Wide<T>::N>(x, dy, statistics, gammaParts, betaParts, rows, C, chunkRows);               \
    } else {                                                                                                          \
      layer_gradient_sums<T, 1>(x, dy, statistics, gammaParts, betaParts, rows, C, chunkRows);                        \
    }                                                                                                                 \
  }

NORM_GRADIENTS(f32)
NORM_GRADIENTS(bf16)
NORM_GRADIENTS(f16)
