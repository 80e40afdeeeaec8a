// What the matrix products and convolutions share: where their operand A comes from and what follows the sum.
#pragma once
#include "device.cuh"

// Geometry of a convolution over NHWC; K = taps * channels, taps outermost. A plain product has one tap, one row of
// pixels and no padding.
struct Geometry {
  int height, width, channels;
  int outHeight, outWidth;
  int kernelWidth, taps;
  int stride, padTop, padLeft;
};

// One row of A: the input patch under one output pixel. With DOUBLED, the image is half as high and wide as the geometry
// says, and every pixel of it stands for four.
template <class T, bool DOUBLED>
struct Patch {
  static constexpr int NOWHERE = -(1 << 30);

  const T* corner;  // of the patch; it may lie in the padding, outside the image. DOUBLED: of the image
  int top, left;    // of a row that does not exist: far above the image

  DEVICE static Patch of(const T* x, const Geometry& g, int row, int rows) {
    Patch p;
    int pixel = row < rows ? row : 0;
    int column = pixel % g.outWidth;
    int line = pixel / g.outWidth;
    int b = line / g.outHeight;
    p.top = (line - b * g.outHeight) * g.stride - g.padTop;
    p.left = column * g.stride - g.padLeft;
    p.corner = DOUBLED ? x + (i64)b * (g.height / 2) * (g.width / 2) * g.channels
                       : x + (((i64)b * g.height + p.top) * g.width + p.left) * g.channels;
    if (row >= rows) {
      p.top = NOWHERE;
    }
    return p;
  }

  DEVICE bool exists() const { return top != NOWHERE; }

  // Address of a channel in the line and column of a tap, which is `offset` after the corner; null in the padding.
  DEVICE const T* at(const Geometry& g, int tapLine, int tapColumn, int channel, int offset) const {
    int line = top + tapLine;
    int column = left + tapColumn;
    bool valid = (u32)line < (u32)g.height && (u32)column < (u32)g.width;
    if (DOUBLED) {
      offset = (line / 2 * (g.width / 2) + column / 2) * g.channels + channel;
    }
    return valid ? corner + offset : nullptr;
  }

  // Address of channel c under a tap, or null where the padding is.
  DEVICE const T* at(const Geometry& g, int tap, int c) const {
    int line = tap / g.kernelWidth;
    int column = tap % g.kernelWidth;
    return tap < g.taps ? at(g, line, column, c, (line * g.width + column) * g.channels + c) : nullptr;
  }
};

// Where in the patch a chunk of a row of A begins, chunk by chunk: without a division.
struct Walk {
  int line = 0, column = 0;  // of the tap
  int channel = 0;
  int offset = 0;  // from the patch's corner

  DEVICE void advance(const Geometry& g, int channels) {
    channel += channels;
    offset += channels;
    while (channel >= g.channels) {
      channel -= g.channels;
      if (++column == g.kernelWidth) {
        column = 0;
        line++;
        offset += (g.width - g.kernelWidth) * g.channels;
      }
    }
  }
};

// y = activation(sum + bias + channelBias[row / rowsPerBatch]) + residual; with `gated` the columns are pairs (hidden,
// gate) and y = hidden * gelu(gate) has half as many.
template <class T>
struct Finish {
  const float* bias;
  const T* channelBias;
  const T* residual;
  T* y;
  int M, N, rowsPerBatch, activation, gated;

  // Whether rows can be read and written 16 bytes at a time.
  DEVICE bool wide() const { return N % 8 == 0 && (((u64)bias | (u64)channelBias | (u64)residual | (u64)y) & 15) == 0; }

  DEVICE void eight(int m, int n, const float* sums) const {
    if (m >= M || n >= N) {
      return;
    }
    Pack<float, 8> v;
    *(Pack<float, 4>*)v.at = *(const Pack<float, 4>*)sums;
    *(Pack<float, 4>*)(v.at + 4) = *(const Pack<float, 4>*)(sums + 4);
    if (bias != nullptr) {
      Pack<float, 4> low = *(const Pack<float, 4>*)(bias + n);
      Pack<float, 4> high = *(const Pack<float, 4>*)(bias + n + 4);
      UNROLL
      for (int j = 0; j < 4; j++) {
        v.at[j] += low.at[j];
        v.at[j + 4] += high.at[j];
      }
    }
    if (channelBias != nullptr) {
      Pack<T, 8> row = *(const Pack<T, 8>*)(channelBias + (i64)(m / rowsPerBatch) * N + n);
      UNROLL
      for (int j = 0; j < 8; j++) {
        v.at[j] += to_float(row.at[j]);
      }
    }
    if (gated) {
      Pack<T, 4> four;
      UNROLL
      for (int j = 0; j < 4; j++) {
        four.at[j] = from_float<T>(v.at[2 * j] * gelu(v.at[2 * j + 1]));
      }
      *(Pack<T, 4>*)(y + (i64)m * (N / 2) + n / 2) = four;
      return;
    }
    i64 at = (i64)m * N + n;
    Pack<T, 8> all;
    if (residual != nullptr) {
      all = *(const Pack<T, 8>*)(residual + at);
    }
    UNROLL
    for (int j = 0; j < 8; j++) {
      float value = activate(v.at[j], activation);
      all.at[j] = from_float<T>(residual != nullptr ? value + to_float(all.at[j]) : value);
    }
    *(Pack<T, 8>*)(y + at) = all;
  }

  // Two neighbouring columns; n is even.
  DEVICE void pair(int m, int n, float first, float second) const {
    if (m >= M || n >= N) {
      return;
    }
    bool both = n + 1 < N;
    if (bias != nullptr) {
      first += bias[n];
      second += both ? bias[n + 1] : 0.0f;
    }
    if (channelBias != nullptr) {
      const T* row = channelBias + (i64)(m / rowsPerBatch) * N + n;
      first += to_float(row[0]);
      second += both ? to_float(row[1]) : 0.0f;
    }
    // One copy of the code for both uses of GELU: it is unrolled for every pair that a thread holds.
    first = activate(first, gated ? ACTIVATION_NONE : activation);
    second = activate(second, gated ? ACTIVATION_GELU : activation);
    if (gated) {
      y[(i64)m * (N / 2) + n / 2] = from_float<T>(first * second);
      return;
    }
    i64 at = (i64)m * N + n;
    if (residual != nullptr) {
      first += to_float(residual[at]);
      second += both ? to_float(residual[at + 1]) : 0.0f;
    }
    if (both && N % 2 == 0) {
      Pack<T, 2> two;
      two.at[0] = from_float<T>(first);
      two.at[1] = from_float<T>(second);
      *(Pack<T, 2>*)(y + at) = two;
      return;
    }
    y[at] = from_float<T>(first);
    if (both) {
      y[at + 1] = from_float<T>(second);
    }
  }
};

// Sums in f32 as they are, for what adds parts of them up.
struct PartialSums {
  float* y;
  int M, N;

  DEVICE bool wide() const { return N % 8 == 0 && ((u64)y & 15) == 0; }

  DEVICE void eight(int m, int n, const float* sums) const {
    if (m < M && n < N) {
      float* to = y + (i64)m * N + n;
      *(Pack<float, 4>*)to = *(const Pack<float, 4>*)sums;
      *(Pack<float, 4>*)(to + 4) = *(const Pack<float, 4>*)(sums + 4);
    }
  }

  DEVICE void pair(int m, int n, float first, float second) const {
    if (m >= M || n >= N) {
      return;
    }
    float* to = y + (i64)m * N + n;
    to[0] = first;
    if (n + 1 < N) {
      to[1] = second;
    }
  }
};

// What follows the sums of eight neighbouring columns; n is a multiple of 8.
template <class F>
DEVICE void finish_columns(const F& finish, int m, int n, const float* sums) {
  ROLLED
  for (int j = 0; j < 8; j += 2) {
    finish.pair(m, n + j, sums[j], sums[j + 1]);
  }
}
// Of those that can do it at once.
template <class F>
DEVICE void finish_eight(const F& finish, int m, int n, const float* sums) {
  if (finish.wide()) {
    finish.eight(m, n, sums);
  } else {
    finish_columns<F>(finish, m, n, sums);
  }
}
template <class T>
DEVICE void finish_columns(const Finish<T>& finish, int m, int n, const float* sums) {
  finish_eight(finish, m, n, sums);
}
DEVICE void finish_columns(const PartialSums& finish, int m, int n, const float* sums) {
  finish_eight(finish, m, n, sums);
}

// Of GEGLU with respect to its products: with pairs (hidden, gate) as above and y = hidden * gelu(gate), dz are pairs
// (dy gelu(gate), dy hidden gelu'(gate)).
template <class T>
struct GegluGradient {
  const float* bias;
  const T* dy;
  T* dz;
  int M, N;

  DEVICE void pair(int m, int n, float hidden, float gate) const {
    if (m >= M || n >= N) {
      return;
    }
    if (bias != nullptr) {
      hidden += bias[n];
      gate += bias[n + 1];
    }
    float up = to_float(dy[(i64)m * (N / 2) + n / 2]);
    float distribution = 0.5f * (1.0f + erff(gate * 0.70710678118654752f));
    float density = 0.39894228040143268f * fast_exp(-0.5f * gate * gate);
    Pack<T, 2> two;
    two.at[0] = from_float<T>(up * gate * distribution);
    two.at[1] = from_float<T>(up * hidden * (distribution + gate * density));
    *(Pack<T, 2>*)(dz + (i64)m * N + n) = two;
  }
};

// blockIdx.z counts the matrices of a batched product; the strides are 0 else.
#define PRODUCT_PARAMETERS(T)                                                                                       \
  (const T* x, const T* w, const float* bias, const T* channelBias, const T* residual, T* y, int M, int N, int K,   \
   int pitch, int rowsPerBatch, int activation, int gated, const Geometry g, int wide, i64 strideX, i64 strideW,    \
   i64 strideY)
#define PRODUCT_FINISH(T) \
  Finish<T> { bias, channelBias, residual, y + blockIdx.z * strideY, M, N, rowsPerBatch, activation, gated }
#define GEGLU_PARAMETERS(T)                                                                                        \
  (const T* x, const T* w, const float* bias, const T* dy, T* dz, int M, int N, int K, int pitch, const Geometry g, \
   int wide)
