// What text features have in common, and the gradient of preference scores (LongAlign, section 3.3). Features are
// [rows, D]; sums in f32, in an order that only the shape decides. The common direction needs every text before the first
// can be reweighted: texts are read twice, the second time from the L2 cache where they fit; everything else once.
#include "device.cuh"

// Block (columns, chunk) sums the texts of its chunk: 32 threads side by side, each with N columns, in 8 lines of rows.
template <class T, int N>
DEVICE void text_sums(const T* texts, float* partial, int rows, int D, int chunkRows) {
  SHARED_BYTES(shared);
  float* scratch = (float*)shared;  // [8][32 * N]
  typedef Pack<T, N> Vector;
  int lane = threadIdx.x % 32;
  int line = threadIdx.x / 32;
  int column = (blockIdx.x * 32 + lane) * N;
  int to = min(rows, (int)(blockIdx.y + 1) * chunkRows);
  float sum[N];
  UNROLL
  for (int j = 0; j < N; j++) {
    sum[j] = 0;
  }
  if (column < D) {
    for (int row = blockIdx.y * chunkRows + line; row < to; row += 8) {
      Vector v = *(const Vector*)(texts + (i64)row * D + column);
      UNROLL
      for (int j = 0; j < N; j++) {
        sum[j] += to_float(v.at[j]);
      }
    }
  }
  UNROLL
  for (int j = 0; j < N; j++) {
    scratch[(line * 32 + lane) * N + j] = sum[j];
  }
  BARRIER();
  for (int i = threadIdx.x; i < 32 * N; i += blockDim.x) {
    int c = blockIdx.x * 32 * N + i;
    if (c < D) {
      float total = 0;
      for (int l = 0; l < 8; l++) {
        total += scratch[l * 32 * N + i];
      }
      partial[(i64)blockIdx.y * D + c] = total;
    }
  }
}

// The common direction into shared memory: as given, or the normalised sum of the chunks' sums, or (chunks 0) of the texts
// themselves, which is one launch for the few texts of a training batch.
template <class T>
DEVICE void common_direction(const T* texts, const float* partial, int chunks, const float* given, float* direction,
                             float* v, float* warps, int rows, int D) {
  float square = 0;
  for (int d = threadIdx.x; d < D; d += blockDim.x) {
    float sum = 0;
    if (given != nullptr) {
      sum = given[d];
    } else if (chunks > 0) {
      for (int chunk = 0; chunk < chunks; chunk++) {
        sum += partial[(i64)chunk * D + d];
      }
    } else {
      for (int row = 0; row < rows; row++) {
        sum += to_float(texts[(i64)row * D + d]);
      }
    }
    v[d] = sum;
    square += sum * sum;
  }
  square = warp_sum(square);
  if (threadIdx.x % 32 == 0) {
    warps[threadIdx.x / 32] = square;
  }
  BARRIER();
  if (given != nullptr) {
    return;
  }
  float total = 0;
  for (int w = 0; w < (int)blockDim.x / 32; w++) {
    total += warps[w];
  }
  float length = sqrtf(total);
  for (int d = threadIdx.x; d < D; d += blockDim.x) {
    v[d] /= length;
    if (blockIdx.x == 0) {
      direction[d] = v[d];
    }
  }
  BARRIER();
}

template <class T, int N>
DEVICE float along_direction(const Pack<T, N>& t, const float* v) {
  float dot = 0;
  UNROLL
  for (int j = 0; j < N; j++) {
    dot += to_float(t.at[j]) * v[j];
  }
  return dot;
}

template <class T, int N>
DEVICE Pack<T, N> without(Pack<T, N> t, float along, const float* v) {
  UNROLL
  for (int j = 0; j < N; j++) {
    t.at[j] = from_float<T>(to_float(t.at[j]) - along * v[j]);
  }
  return t;
}

constexpr int HELD = 4;  // vectors of a row that a lane keeps; the second read of others finds them in the L1 cache

// One warp per text: eta = <T, V>, then T - removed * eta * V.
template <class T, int N>
DEVICE void reweight(const T* texts, const float* partial, int chunks, const float* given, float* direction, float* eta,
                     T* y, int rows, int D, float removed) {
  SHARED_BYTES(shared);
  float* warps = (float*)shared;         // [8]
  float* v = warps + 8;                  // [D]
  typedef Pack<T, N> Vector;
  common_direction(texts, partial, chunks, given, direction, v, warps, rows, D);
  int lane = lane_id();
  int vectors = D / N;
  int perBlock = blockDim.x / 32;
  for (int row = blockIdx.x * perBlock + threadIdx.x / 32; row < rows; row += gridDim.x * perBlock) {
    const Vector* in = (const Vector*)(texts + (i64)row * D);
    Vector* out = (Vector*)(y + (i64)row * D);
    Vector held[HELD];
    UNROLL
    for (int h = 0; h < HELD; h++) {
      if (lane + h * 32 < vectors) {
        held[h] = in[lane + h * 32];
      }
    }
    float dot = 0;
    UNROLL
    for (int h = 0; h < HELD; h++) {
      if (lane + h * 32 < vectors) {
        dot += along_direction<T, N>(held[h], v + (lane + h * 32) * N);
      }
    }
    for (int i = lane + HELD * 32; i < vectors; i += 32) {
      dot += along_direction<T, N>(in[i], v + i * N);
    }
    dot = warp_sum(dot);
    if (lane == 0) {
      eta[row] = dot;
    }
    float along = removed * dot;
    UNROLL
    for (int h = 0; h < HELD; h++) {
      if (lane + h * 32 < vectors) {
        out[lane + h * 32] = without<T, N>(held[h], along, v + (lane + h * 32) * N);
      }
    }
    for (int i = lane + HELD * 32; i < vectors; i += 32) {
      out[i] = without<T, N>(in[i], along, v + i * N);
    }
  }
}

// One warp per picture: its score with its text, and (T - score I / |I|) / |I|.
template <class T, int N>
DEVICE void preference_gradient(const T* texts, const T* images, float* scores, T* gradient, int rows, int D) {
  typedef Pack<T, N> Vector;
  int row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
  if (row >= rows) {
    return;
  }
  int lane = lane_id();
  int vectors = D / N;
  const Vector* text = (const Vector*)(texts + (i64)row * D);
  const Vector* image = (const Vector*)(images + (i64)row * D);
  Vector* out = (Vector*)(gradient + (i64)row * D);
  float dot = 0;
  float square = 0;
  for (int i = lane; i < vectors; i += 32) {
    Vector t = text[i];
    Vector x = image[i];
    UNROLL
    for (int j = 0; j < N; j++) {
      float value = to_float(x.at[j]);
      dot += to_float(t.at[j]) * value;
      square += value * value;
    }
  }
  float length = sqrtf(warp_sum(square));
  float score = warp_sum(dot) / length;
  if (lane == 0) {
    scores[row] = score;
  }
  float along = score / length;
  for (int i = lane; i < vectors; i += 32) {
    Vector t = text[i];
    Vector x = image[i];
    UNROLL
    for (int j = 0; j < N; j++) {
      t.at[j] = from_float<T>((to_float(t.at[j]) - along * to_float(x.at[j])) / length);
    }
    out[i] = t;
  }
}

#define PREFERENCE(T)                                                                                                 \
  KERNEL(textSums_fwd_##T, 256, 4, (const T* texts, float* partial, int rows, int D, int chunkRows, int wide)) {      \
    after_kernels_before();                                                                                           \
    if (wide) {                                                                                                       \
      text_sums<T, Wide<T>::N>(texts, partial, rows, D, chunkRows);                                                   \
    } else {                                                                                                          \
      text_sums<T, 1>(texts, partial, rows, D, chunkRows);                                                            \
    }                                                                                                                 \
  }                                                                                                                   \
  KERNEL(reweight_fwd_##T, 256, 4,                                                                                    \
         (const T* texts, const float* partial, int chunks, const float* given, float* direction, float* eta, T* y,   \
          int rows, int D, float removed, int wide)) {                                                                \
    after_kernels_before();                                                                                           \
    if (wide) {                                                                                                       \
      reweight<T, Wide<T>::N>(texts, partial, chunks, given, direction, eta, y, rows, D, removed);                    \
    } else {                                                                                                          \
      reweight<T, 1>(texts, partial, chunks, given, direction, eta, y, rows, D, removed);                             \
    }                                                                                                                 \
  }                                                                                                                   \
  KERNEL(preferenceGradient_fwd_##T, 128, 8,                                                                          \
         (const T* texts, const T* images, float* scores, T* gradient, int rows, int D, int wide)) {                  \
    after_kernels_before();                                                                                           \
    if (wide) {                                                                                                       \
      preference_gradient<T, Wide<T>::N>(texts, images, scores, gradient, rows, D);                                   \
    } else {                                                                                                          \
      preference_gradient<T, 1>(texts, images, scores, gradient, rows, D);                                            \
    }                                                                                                                 \
  }

PREFERENCE(f32)
PREFERENCE(bf16)
PREFERENCE(f16)
