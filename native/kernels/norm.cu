// GroupNorm with its activation, and LayerNorm. Means and variances in f32; variances from differences to a value of the
// group (or to the mean), so that a large mean costs no digits. No atomics: the same input gives the same bits.
#include "norm.cuh"

constexpr int AT_ONCE = 4;  // loads that are under way together

// x [B, pixels, C]. Block (chunk, b) sums its pixels: partial [B][chunks][groups][2] gets, per group, the sums of x - s and
// (x - s)^2, where s is the group's first value in x[b].
template <class T, int N>
DEVICE void group_sums(const T* x, float* partial, int pixels, int C, int groups, int chunkPixels) {
  SHARED_BYTES(shared);
  float* scratch = (float*)shared;              // [2][rows of threads][columns * N]
  float* channel = scratch + 2 * N * blockDim.x;  // [2][C]
  typedef Pack<T, N> Vector;
  const T* image = x + (i64)blockIdx.y * pixels * C;
  int perGroup = C / groups;
  int vectors = C / N;
  int from = blockIdx.x * chunkPixels;
  int to = min(pixels, from + chunkPixels);
  for (int start = 0; start < vectors; start += blockDim.x) {
    int columns = min(vectors - start, (int)blockDim.x);
    int rows = blockDim.x / columns;
    int column = threadIdx.x % columns;
    int row = threadIdx.x / columns;
    float sum[N];
    float square[N];
    float shift[N];
    UNROLL
    for (int j = 0; j < N; j++) {
      sum[j] = 0;
      square[j] = 0;
      shift[j] = to_float(image[((start + column) * N + j) / perGroup * perGroup]);
    }
    if (row < rows) {
      for (int pixel = from + row; pixel < to; pixel += AT_ONCE * rows) {
        Vector v[AT_ONCE];
        UNROLL
        for (int u = 0; u < AT_ONCE; u++) {
          int near = min(pixel + u * rows, to - 1);
          v[u] = ((const Vector*)(image + (i64)near * C))[start + column];
        }
        UNROLL
        for (int i = 0; i < AT_ONCE * N; i++) {
          bool use = pixel + i / N * rows < to;
          float difference = use ? to_float(v[i / N].at[i % N]) - shift[i % N] : 0.0f;
          sum[i % N] += difference;
          square[i % N] += difference * difference;
        }
      }
      UNROLL
      for (int j = 0; j < N; j++) {
        scratch[(row * columns + column) * N + j] = sum[j];
        scratch[(row * columns + column) * N + j + N * blockDim.x] = square[j];
      }
    }
    BARRIER();
    for (int i = threadIdx.x; i < columns * N; i += blockDim.x) {
      float s = 0;
      float q = 0;
      for (int r = 0; r < rows; r++) {
        s += scratch[r * columns * N + i];
        q += scratch[r * columns * N + i + N * blockDim.x];
      }
      channel[start * N + i] = s;
      channel[C + start * N + i] = q;
    }
    BARRIER();
  }
  for (int g = threadIdx.x; g < groups; g += blockDim.x) {
    float s = 0;
    float q = 0;
    for (int c = g * perGroup; c < (g + 1) * perGroup; c++) {
      s += channel[c];
      q += channel[C + c];
    }
    float* out = partial + (((i64)blockIdx.y * gridDim.x + blockIdx.x) * groups + g) * 2;
    out[0] = s;
    out[1] = q;
  }
}

constexpr int APPLIED_AT_ONCE = 2;

template <class T, int N>
DEVICE void group_apply(const T* x, const float* partial, const float* gamma, const float* beta, T* y, int pixels, int C,
                        int groups, int chunks, float eps, int activation, int chunkPixels) {
  SHARED_BYTES(shared);
  float* mean = (float*)shared;
  float* scale = mean + groups;
  float* sums = scale + groups;  // [2][parts * groups]
  typedef Pack<T, N> Vector;
  i64 image = (i64)blockIdx.y * pixels * C;
  int perGroup = C / groups;
  group_statistics(x + image, partial + (i64)blockIdx.y * chunks * groups * 2, pixels, C, groups, chunks, eps, mean,
                   scale, sums);
  BARRIER();
  // A thread keeps its channels, so what they need stays in registers.
  int vectors = C / N;
  int from = blockIdx.x * chunkPixels;
  int to = min(pixels, from + chunkPixels);
  const Vector* in = (const Vector*)(x + image);
  Vector* out = (Vector*)(y + image);
  for (int start = 0; start < vectors; start += blockDim.x) {
    int columns = min(vectors - start, (int)blockDim.x);
    int rows = blockDim.x / columns;
    int row = threadIdx.x / columns;
    int column = start + threadIdx.x % columns;
    float middle[N];
    float factor[N];
    float shift[N];
    UNROLL
    for (int j = 0; j < N; j++) {
      int c = column * N + j;
      middle[j] = mean[c / perGroup];
      factor[j] = scale[c / perGroup] * gamma[c];
      shift[j] = beta[c];
    }
    if (row < rows) {
      for (int pixel = from + row; pixel < to; pixel += APPLIED_AT_ONCE * rows) {
        Vector v[APPLIED_AT_ONCE];
        UNROLL
        for (int u = 0; u < APPLIED_AT_ONCE; u++) {
          v[u] = in[(i64)min(pixel + u * rows, to - 1) * vectors + column];
        }
        UNROLL
        for (int u = 0; u < APPLIED_AT_ONCE; u++) {
          UNROLL
          for (int j = 0; j < N; j++) {
            float value = (to_float(v[u].at[j]) - middle[j]) * factor[j] + shift[j];
            v[u].at[j] = from_float<T>(activate(value, activation));
          }
          if (pixel + u * rows < to) {
            out[(i64)(pixel + u * rows) * vectors + column] = v[u];
          }
        }
      }
    }
  }
}

// The sum over the block's threads, which are whole warps. sums: a float for each of at most 32 warps.
DEVICE float block_sum(float x, float* sums) {
  float sum = warp_sum(x);
  if (lane_id() == 0) {
    sums[threadIdx.x / 32] = sum;
  }
  BARRIER();
  return warp_sum(lane_id() < (int)blockDim.x / 32 ? sums[lane_id()] : 0.0f);
}

constexpr int WHOLE = 40;  // elements of a group that a thread keeps

// Block (g, b) has group g of x[b] in registers, N channels at a time; so one launch does where group_sums and group_apply
// would need two, and reads x once. Of activations it knows SiLU.
template <class T, int N>
DEVICE void whole_group(const T* x, const float* gamma, const float* beta, T* y, int pixels, int C, int groups, float eps,
                        int activation) {
  SHARED_BYTES(shared);
  float* sums = (float*)shared;  // [2][32]
  float* factor = sums + 64;     // [channels of a group], and behind it:
  typedef Pack<T, N> Vector;
  typedef Pack<float, N> Floats;
  constexpr int VECTORS = WHOLE / N;
  int perGroup = C / groups;
  float* shift = factor + round_up(perGroup, 4);
  int columns = perGroup / N;
  int count = pixels * columns;
  i64 offset = (i64)blockIdx.y * pixels * C + blockIdx.x * perGroup;
  // Where this thread's next vector is, `pixel * C + column * N` from there, without dividing.
  int pixelsOn = blockDim.x / columns;
  int columnsOn = blockDim.x - pixelsOn * columns;
  int pixel = threadIdx.x / columns;
  int column = threadIdx.x - pixel * columns;
  auto next = [&] {
    pixel += pixelsOn;
    column += columnsOn;
    if (column >= columns) {
      column -= columns;
      pixel++;
    }
  };
  Vector held[VECTORS];
  UNROLL
  for (int i = 0; i < VECTORS; i++) {
    if (pixel < pixels) {
      held[i] = *(const Vector*)(x + offset + (i64)pixel * C + column * N);
    }
    next();
  }
  int vectors = count > (int)threadIdx.x ? (count - (int)threadIdx.x + (int)blockDim.x - 1) / (int)blockDim.x : 0;
  float sum = 0;
  UNROLL
  for (int i = 0; i < WHOLE; i++) {
    sum += i / N < vectors ? to_float(held[i / N].at[i % N]) : 0.0f;
  }
  float size = (float)pixels * (float)perGroup;
  float mean = block_sum(sum, sums) / size;
  stays_packed(held);
  float square = 0;
  UNROLL
  for (int i = 0; i < WHOLE; i++) {
    float difference = i / N < vectors ? to_float(held[i / N].at[i % N]) - mean : 0.0f;
    square += difference * difference;
  }
  float scale = reciprocal_sqrt(block_sum(square, sums + 32) / size + eps);
  stays_packed(held);
  for (int c = threadIdx.x; c < perGroup; c += blockDim.x) {
    factor[c] = scale * gamma[blockIdx.x * perGroup + c];
    shift[c] = beta[blockIdx.x * perGroup + c];
  }
  BARRIER();
  pixel = threadIdx.x / columns;
  column = threadIdx.x - pixel * columns;
  UNROLL
  for (int i = 0; i < VECTORS; i++) {
    if (pixel < pixels) {
      Floats factors = *(const Floats*)(factor + column * N);
      Floats shifts = *(const Floats*)(shift + column * N);
      UNROLL
      for (int j = 0; j < N; j++) {
        float value = (to_float(held[i].at[j]) - mean) * factors.at[j] + shifts.at[j];
        held[i].at[j] = from_float<T>(activation == ACTIVATION_SILU ? silu(value) : value);
      }
      *(Vector*)(y + offset + (i64)pixel * C + column * N) = held[i];
    }
    next();
  }
}

// N floats from an address that may allow 16-byte access.
template <int N>
DEVICE Pack<float, N> parameters(const float* from, bool aligned) {
  Pack<float, N> result;
  if (N % 4 == 0 && aligned) {
    UNROLL
    for (int j = 0; j < N; j += 4) {
      *(Pack<float, 4>*)(result.at + j) = *(const Pack<float, 4>*)(from + j);
    }
    return result;
  }
  UNROLL
  for (int j = 0; j < N; j++) {
    result.at[j] = from[j];
  }
  return result;
}

constexpr int HELD = 5;  // vectors of a row that a lane keeps: 1280 columns of 16-bit types

// One warp per row of [rows, C], of at most 32 HELD vectors.
template <class T, int N>
DEVICE void short_layer_norm(const T* x, const float* gamma, const float* beta, T* y, int rows, int C, float eps) {
  typedef Pack<T, N> Vector;
  int row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
  if (row >= rows) {
    return;
  }
  int lane = lane_id();
  int vectors = C / N;
  bool aligned = (((u64)gamma | (u64)beta) & 15) == 0;
  const Vector* in = (const Vector*)(x + (i64)row * C);
  Vector* out = (Vector*)(y + (i64)row * C);
  Vector held[HELD];
  float sum = 0;
  UNROLL
  for (int h = 0; h < HELD; h++) {
    if (lane + h * 32 < vectors) {
      held[h] = in[lane + h * 32];
    }
  }
  UNROLL
  for (int h = 0; h < HELD; h++) {
    UNROLL
    for (int j = 0; j < N; j++) {
      sum += lane + h * 32 < vectors ? to_float(held[h].at[j]) : 0.0f;
    }
  }
  float mean = warp_sum(sum) / (float)C;
  float square = 0;
  UNROLL
  for (int h = 0; h < HELD; h++) {
    UNROLL
    for (int j = 0; j < N; j++) {
      float difference = lane + h * 32 < vectors ? to_float(held[h].at[j]) - mean : 0.0f;
      square += difference * difference;
    }
  }
  float scale = reciprocal_sqrt(warp_sum(square) / (float)C + eps);
  UNROLL
  for (int h = 0; h < HELD; h++) {
    int i = lane + h * 32;
    if (i < vectors) {
      Pack<float, N> factor = parameters<N>(gamma + i * N, aligned);
      Pack<float, N> shift = parameters<N>(beta + i * N, aligned);
      UNROLL
      for (int j = 0; j < N; j++) {
        held[h].at[j] = from_float<T>((to_float(held[h].at[j]) - mean) * scale * factor.at[j] + shift.at[j]);
      }
      out[i] = held[h];
    }
  }
}

// The same for any length.
template <class T, int N>
DEVICE void layer_norm(const T* x, const float* gamma, const float* beta, T* y, int rows, int C, float eps) {
  typedef Pack<T, N> Vector;
  int row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
  if (row >= rows) {
    return;
  }
  int lane = lane_id();
  int vectors = C / N;
  const Vector* in = (const Vector*)(x + (i64)row * C);
  Vector* out = (Vector*)(y + (i64)row * C);
  float mean;
  float scale;
  row_statistics<T, N>(in, C, eps, mean, scale);
  for (int i = lane; i < vectors; i += 32) {
    Vector v = in[i];
    UNROLL
    for (int j = 0; j < N; j++) {
      int c = i * N + j;
      v.at[j] = from_float<T>((to_float(v.at[j]) - mean) * scale * gamma[c] + beta[c]);
    }
    out[i] = v;
  }
}

#define WHOLE_GROUP(T, N, THREADS)                                                                                    \
  KERNEL(groupNormWhole_fwd_##T##_##N, THREADS, 1,                                                                    \
         (const T* x, const float* gamma, const float* beta, T* y, int pixels, int C, int groups, float eps,          \
          int activation)) {                                                                                          \
    after_kernels_before();                                                                                           \
    whole_group<T, N>(x, gamma, beta, y, pixels, C, groups, eps, activation);                                         \
  }
WHOLE_GROUP(f32, 4, 512)
WHOLE_GROUP(f32, 2, 512)
WHOLE_GROUP(bf16, 8, 1024)
WHOLE_GROUP(bf16, 4, 1024)
WHOLE_GROUP(bf16, 2, 512)
WHOLE_GROUP(f16, 8, 1024)
WHOLE_GROUP(f16, 4, 1024)
WHOLE_GROUP(f16, 2, 512)

#define NORMS(T)                                                                                                      \
  KERNEL(groupNormSums_fwd_##T, 256, 2,                                                                               \
         (const T* x, float* partial, int pixels, int C, int groups, int chunkPixels, int wide)) {                    \
    after_kernels_before();                                                                                           \
    if (wide) {                                                                                                       \
      group_sums<T, Wide<T>::N>(x, partial, pixels, C, groups, chunkPixels);                                          \
    } else {                                                                                                          \
      group_sums<T, 1>(x, partial, pixels, C, groups, chunkPixels);                                                   \
    }                                                                                                                 \
  }                                                                                                                   \
  KERNEL(groupNorm_fwd_##T, 256, 4,                                                                                   \
         (const T* x, const float* partial, const float* gamma, const float* beta, T* y, int pixels, int C,           \
          int groups, int chunks, float eps, int activation, int chunkPixels, int wide)) {                            \
    after_kernels_before();                                                                                           \
    if (wide) {                                                                                                       \
      group_apply<T, Wide<T>::N>(x, partial, gamma, beta, y, pixels, C, groups, chunks, eps, activation,              \
                                 chunkPixels);                                                                        \
    } else {                                                                                                          \
      group_apply<T, 1>(x, partial, gamma, beta, y, pixels, C, groups, chunks, eps, activation, chunkPixels);         \
    }                                                                                                                 \
  }                                                                                                                   \
  KERNEL(layerNorm_fwd_##T, 128, 8,                                                                                   \
         (const T* x, const float* gamma, const float* beta, T* y, int rows, int C, float eps, int wide)) {           \
    after_kernels_before();                                                                                           \
    if (wide && C / Wide<T>::N <= 32 * HELD) {                                                                        \
      short_layer_norm<T, Wide<T>::N>(x, gamma, beta, y, rows, C, eps);                                               \
    } else if (wide) {                                                                                                \
      layer_norm<T, Wide<T>::N>(x, gamma, beta, y, rows, C, eps);                                                     \
    } else {                                                                                                          \
      layer_norm<T, 1>(x, gamma, beta, y, rows, C, eps);                                                              \
    }                                                                                                                 \
  }

NORMS(f32)
NORMS(bf16)
NORMS(f16)
