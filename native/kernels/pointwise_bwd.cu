// Derivatives of what is done element by element.
#include "pointwise.cuh"

// x [rows, 2 n], dy [rows, n] -> dx [rows, 2 n]
template <class T, int N>
DEVICE void gated_gelu_gradient(const T* x, const T* dy, T* dx, i64 rows, int n) {
  typedef Pack<T, N> Vector;
  int vectors = n / N;
  for (i64 i = grid_thread(); i < rows * vectors; i += grid_threads()) {
    i64 at = i / vectors * 2 * n + i % vectors * N;
    Vector hidden = *(const Vector*)(x + at);
    Vector gate = *(const Vector*)(x + at + n);
    Vector d = ((const Vector*)dy)[i];
    UNROLL
    for (int j = 0; j < N; j++) {
      float up = to_float(d.at[j]);
      float h = to_float(hidden.at[j]);
      float g = to_float(gate.at[j]);
      hidden.at[j] = from_float<T>(up * gelu(g));
      gate.at[j] = from_float<T>(up * h * gelu_slope(g));
    }
    *(Vector*)(dx + at) = hidden;
    *(Vector*)(dx + at + n) = gate;
  }
}

// Which of `in` positions upsampling reads for position i of `out`: in f32, as the operation itself computes it.
DEVICE int nearest(int i, float scale, int in) { return min((int)((float)i * scale), in - 1); }

// dy [B, height, width, C] -> dx [B, H, W, C]: each pixel looks for its copies, so that sums have an order.
template <class T, int N>
DEVICE void upsample_nearest_gradient(const T* dy, T* dx, i64 total, int H, int W, int C, int height, int width) {
  typedef Pack<T, N> Vector;
  int vectors = C / N;
  float down = (float)H / (float)height;
  float across = (float)W / (float)width;
  for (i64 i = grid_thread(); i < total / N; i += grid_threads()) {
    i64 pixel = i / vectors;
    int channel = (int)(i - pixel * vectors) * N;
    int column = (int)(pixel % W);
    int row = (int)(pixel / W % H);
    i64 image = pixel / W / H;
    // one more on either side than exact arithmetic would say
    int fromRow = max(0, (int)((i64)row * height / H) - 1);
    int toRow = min(height, (int)(((i64)row + 1) * height / H) + 2);
    int fromColumn = max(0, (int)((i64)column * width / W) - 1);
    int toColumn = min(width, (int)(((i64)column + 1) * width / W) + 2);
    float sum[N];
    UNROLL
    for (int j = 0; j < N; j++) {
      sum[j] = 0;
    }
    for (int r = fromRow; r < toRow; r++) {
      if (nearest(r, down, H) != row) {
        continue;
      }
      for (int c = fromColumn; c < toColumn; c++) {
        if (nearest(c, across, W) != column) {
          continue;
        }
        Vector v = *(const Vector*)(dy + ((image * height + r) * width + c) * C + channel);
        UNROLL
        for (int j = 0; j < N; j++) {
          sum[j] += to_float(v.at[j]);
        }
      }
    }
    Vector result;
    UNROLL
    for (int j = 0; j < N; j++) {
      result.at[j] = from_float<T>(sum[j]);
    }
    ((Vector*)dx)[i] = result;
  }
}

#define GRADIENTS(T)                                                                                            \
  KERNEL(activation_bwd_##T, 256, 4, (const T* x, const T* dy, T* dx, i64 n, int wide, int kind)) {             \
    after_kernels_before();                                                                                     \
    zip(x, dy, dx, n, wide, [=](float value, float d) { return d * activation_slope(value, kind); });           \
  }                                                                                                             \
  KERNEL(clamp_bwd_##T, 256, 4, (const T* x, const T* dy, T* dx, i64 n, int wide, float low, float high)) {     \
    after_kernels_before();                                                                                     \
    zip(x, dy, dx, n, wide, [=](float value, float d) { return value >= low && value <= high ? d : 0.0f; });    \
  }                                                                                                             \
  KERNEL(pseudoHuber_bwd_##T, 256, 4, (const T* x, const T* dy, T* dx, i64 n, int wide, float c)) {             \
    after_kernels_before();                                                                                     \
    zip(x, dy, dx, n, wide, [=](float value, float d) { return d * (value / hypotf(value, c)); });              \
  }                                                                                                             \
  KERNEL(gatedGelu_bwd_##T, 256, 4, (const T* x, const T* dy, T* dx, i64 rows, int n, int wide)) {              \
    after_kernels_before();                                                                                     \
    if (wide) {                                                                                                 \
      gated_gelu_gradient<T, Wide<T>::N>(x, dy, dx, rows, n);                                                   \
    } else {                                                                                                    \
      gated_gelu_gradient<T, 1>(x, dy, dx, rows, n);                                                            \
    }                                                                                                           \
  }                                                                                                             \
  KERNEL(upsampleNearest_bwd_##T, 256, 4,                                                                       \
         (const T* dy, T* dx, i64 total, int H, int W, int C, int height, int width, int wide)) {               \
    after_kernels_before();                                                                                     \
    if (wide) {                                                                                                 \
      upsample_nearest_gradient<T, Wide<T>::N>(dy, dx, total, H, W, C, height, width);                          \
    } else {                                                                                                    \
      upsample_nearest_gradient<T, 1>(dy, dx, total, H, W, C, height, width);                                   \
    }                                                                                                           \
  }

GRADIENTS(f32)
GRADIENTS(bf16)
GRADIENTS(f16)
