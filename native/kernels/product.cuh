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

// One row of A: the input patch under one output pixel.
template <class T>
struct Patch {
  const T* image;
  int top, left;
  bool inside;

  DEVICE static Patch of(const T* x, const Geometry& g, int row, int rows) {
    Patch p;
    p.inside = row < rows;
    int pixel = p.inside ? row : 0;
    int column = pixel % g.outWidth;
    int line = pixel / g.outWidth;
    int b = line / g.outHeight;
    p.top = (line - b * g.outHeight) * g.stride - g.padTop;
    p.left = column * g.stride - g.padLeft;
    p.image = x + (i64)b * g.height * g.width * g.channels;
    return p;
  }

  // Address of channel c under a tap, or null where the padding is.
  DEVICE const T* at(const Geometry& g, int tap, int c) const {
    int y = top + tap / g.kernelWidth;
    int x = left + tap % g.kernelWidth;
    bool valid = inside && tap < g.taps && y >= 0 && y < g.height && x >= 0 && x < g.width;
    return valid ? image + ((i64)y * g.width + x) * g.channels + c : nullptr;
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
