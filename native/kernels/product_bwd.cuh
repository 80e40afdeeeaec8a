// What the derivatives of products and convolutions share: where their operands come from and where the sums go. Operands
// pass through shared memory in tiles of BK rows or columns of the sum. A thread brings, for ROWS rows of each tile, STEP
// apart, the same N elements of a row: with chunk() where they lie together and aligned (null: zeros), else with gather().
#pragma once
#include "device.cuh"

// x [batch, height, width, in] -> y [batch, outHeight, outWidth, out], weights [out][taps][in]. A plain product has one
// tap and one line of pixels.
struct Convolution {
  int batch, height, width, in;
  int outHeight, outWidth, out;
  int kernelHeight, kernelWidth;
  int stride, padTop, padLeft;
};

// The pixels of x along one axis whose number leaves the rest `phase` when divided by the stride. All of them are seen by
// the same taps, a stride apart; tap t sees pixel i from place i + shift - t of y. So the derivative of a convolution with
// a stride is, phase by phase, one without.
struct Phase {
  int first, pixels;
  int tap, taps;
  int shift;

  DEVICE static Phase of(int extent, int kernel, int stride, int pad, int phase) {
    Phase p;
    p.first = phase;
    p.pixels = (extent - phase + stride - 1) / stride;
    p.tap = (phase + pad) % stride;
    p.taps = p.tap < kernel ? (kernel - p.tap + stride - 1) / stride : 0;
    p.shift = (phase + pad - p.tap) / stride;
    return p;
  }
};
struct Phases {
  Phase y, x;

  DEVICE static Phases of(const Convolution& c, int number) {
    Phases p;
    p.y = Phase::of(c.height, c.kernelHeight, c.stride, c.padTop, number / c.stride);
    p.x = Phase::of(c.width, c.kernelWidth, c.stride, c.padLeft, number % c.stride);
    return p;
  }
  DEVICE int rows(const Convolution& c) const { return c.batch * y.pixels * x.pixels; }
  DEVICE int columns(const Convolution& c) const { return y.taps * x.taps * c.out; }
};

// One place in a phase's sum: a tap and a channel of y.
template <bool CONVOLUTION>
struct Place {
  int tapY, tapX, channel;

  DEVICE void move(int by, const Phases& p, int channels) {
    channel += by;
    while (CONVOLUTION && channel >= channels && tapY < p.y.taps) {
      channel -= channels;
      if (++tapX == p.x.taps) {
        tapX = 0;
        tapY++;
      }
    }
  }
  DEVICE bool inside(const Phases& p, int channels) const {
    return CONVOLUTION ? tapY < p.y.taps : channel < channels;
  }
};

// For dx, the left operand: a row is what the taps of one pixel of x see of dy.
template <class T, int N, int ROWS, int STEP, int BK, bool CONVOLUTION>
struct Seen {
  const Convolution& c;
  const Phases& p;
  const T* images[ROWS];  // of a plain product: rows
  int tops[ROWS], lefts[ROWS];
  bool insides[ROWS];
  Place<CONVOLUTION> place;

  DEVICE Seen(const T* dy, const Convolution& convolution, const Phases& phases, int row0, int column0)
      : c(convolution), p(phases), place{0, 0, 0} {
    place.move(column0, p, c.out);
    UNROLL
    for (int i = 0; i < ROWS; i++) {
      int row = row0 + i * STEP;
      insides[i] = row < p.rows(c);
      int pixel = insides[i] ? row : 0;
      if (CONVOLUTION) {
        int line = pixel / p.x.pixels;
        int image = line / p.y.pixels;
        tops[i] = line - image * p.y.pixels + p.y.shift;
        lefts[i] = pixel - line * p.x.pixels + p.x.shift;
        images[i] = dy + (i64)image * c.outHeight * c.outWidth * c.out;
      } else {
        images[i] = dy + (i64)pixel * c.out;
      }
    }
  }
  DEVICE const T* at(int i, const Place<CONVOLUTION>& from) const {
    bool use = insides[i] && from.inside(p, c.out);
    if (!CONVOLUTION) {
      return use ? images[i] + from.channel : nullptr;
    }
    int y = tops[i] - from.tapY;
    int x = lefts[i] - from.tapX;
    use = use && y >= 0 && y < c.outHeight && x >= 0 && x < c.outWidth;
    return use ? images[i] + (y * c.outWidth + x) * c.out + from.channel : nullptr;
  }
  DEVICE const T* chunk(int i) const { return at(i, place); }
  DEVICE void gather(int i, Pack<T, N>& to) const {
    Place<CONVOLUTION> from = place;
    UNROLL
    for (int j = 0; j < N; j++) {
      const T* one = at(i, from);
      to.at[j] = one == nullptr ? T{} : *one;
      from.move(1, p, c.out);
    }
  }
  DEVICE void advance() { place.move(BK, p, c.out); }
};

// For dx, the right operand: a row is the weights of one tap for one channel of y.
template <class T, int N, int ROWS, int STEP, int BK, bool CONVOLUTION>
struct Weights {
  const Convolution& c;
  const Phases& p;
  const T* w;
  int pitch, column;
  Place<CONVOLUTION> places[ROWS];

  DEVICE Weights(const T* weights, int rowPitch, const Convolution& convolution, const Phases& phases, int row0,
                 int column0)
      : c(convolution), p(phases), w(weights), pitch(rowPitch), column(column0) {
    UNROLL
    for (int i = 0; i < ROWS; i++) {
      places[i] = Place<CONVOLUTION>{0, 0, 0};
      places[i].move(row0 + i * STEP, p, c.out);
    }
  }
  DEVICE const T* chunk(int i) const {
    const Place<CONVOLUTION>& at = places[i];
    if (column >= c.in || !at.inside(p, c.out)) {
      return nullptr;
    }
    int tap = (p.y.tap + at.tapY * c.stride) * c.kernelWidth + p.x.tap + at.tapX * c.stride;
    return w + (i64)at.channel * pitch + (CONVOLUTION ? tap * c.in : 0) + column;
  }
  DEVICE void gather(int i, Pack<T, N>& to) const {
    const T* from = chunk(i);
    UNROLL
    for (int j = 0; j < N; j++) {
      to.at[j] = from != nullptr && column + j < c.in ? from[j] : T{};
    }
  }
  DEVICE void advance() {
    UNROLL
    for (int i = 0; i < ROWS; i++) {
      places[i].move(BK, p, c.out);
    }
  }
};

// For dw, the left operand: a row is one pixel of dy.
template <class T, int N, int ROWS, int STEP, int BK>
struct Pixels {
  const T* pixel;
  int row, end, column, columns;

  DEVICE Pixels(const T* dy, int width, int row0, int rowEnd, int column0)
      : pixel(dy + (i64)row0 * width + column0), row(row0), end(rowEnd), column(column0), columns(width) {}
  DEVICE const T* chunk(int i) const {
    return row + i * STEP < end && column < columns ? pixel + i * STEP * columns : nullptr;
  }
  DEVICE void gather(int i, Pack<T, N>& to) const {
    const T* from = chunk(i);
    UNROLL
    for (int j = 0; j < N; j++) {
      to.at[j] = from != nullptr && column + j < columns ? from[j] : T{};
    }
  }
  DEVICE void advance() {
    row += BK;
    pixel += BK * columns;
  }
};

// For dw, the right operand: a row is the patch of x under one pixel of dy. The columns, so the tap, stay; pixels pass.
template <class T, int N, int ROWS, int STEP, int BK>
struct Patches {
  const Convolution& c;
  const T* x;
  int row, end, column;
  int offsetY, offsetX, channel;
  int stepImage, stepY, stepX;  // BK pixels on
  int images[ROWS], ys[ROWS], xs[ROWS];

  DEVICE Patches(const T* input, const Convolution& convolution, int row0, int rowEnd, int column0)
      : c(convolution), x(input), row(row0), end(rowEnd), column(column0) {
    int tap = column / c.in;
    channel = column - tap * c.in;
    offsetY = tap / c.kernelWidth - c.padTop;
    offsetX = tap % c.kernelWidth - c.padLeft;
    stepX = BK % c.outWidth;
    stepY = BK / c.outWidth % c.outHeight;
    stepImage = BK / c.outWidth / c.outHeight;
    UNROLL
    for (int i = 0; i < ROWS; i++) {
      int line = (row + i * STEP) / c.outWidth;
      xs[i] = row + i * STEP - line * c.outWidth;
      images[i] = line / c.outHeight;
      ys[i] = line - images[i] * c.outHeight;
    }
  }
  DEVICE const T* at(int i, int offsetOfY, int offsetOfX, int from) const {
    int top = ys[i] * c.stride + offsetOfY;
    int left = xs[i] * c.stride + offsetOfX;
    bool use = row + i * STEP < end && top >= 0 && top < c.height && left >= 0 && left < c.width;
    return use ? x + ((i64)(images[i] * c.height + top) * c.width + left) * c.in + from : nullptr;
  }
  DEVICE int columns() const { return c.kernelHeight * c.kernelWidth * c.in; }
  DEVICE const T* chunk(int i) const { return column < columns() ? at(i, offsetY, offsetX, channel) : nullptr; }
  DEVICE void gather(int i, Pack<T, N>& to) const {
    UNROLL
    for (int j = 0; j < N; j++) {
      int tap = (column + j) / c.in;
      const T* from = nullptr;
      if (column + j < columns()) {
        from = at(i, tap / c.kernelWidth - c.padTop, tap % c.kernelWidth - c.padLeft, column + j - tap * c.in);
      }
      to.at[j] = from == nullptr ? T{} : *from;
    }
  }
  DEVICE void advance() {
    row += BK;
    UNROLL
    for (int i = 0; i < ROWS; i++) {
      xs[i] += stepX;
      ys[i] += stepY;
      images[i] += stepImage;
      if (xs[i] >= c.outWidth) {
        xs[i] -= c.outWidth;
        ys[i]++;
      }
      if (ys[i] >= c.outHeight) {
        ys[i] -= c.outHeight;
        images[i]++;
      }
    }
  }
};

// A tile of dx from shared memory [BM][BN + 4] to the pixels of its phase.
template <class T, int BM, int BN, int THREADS>
DEVICE void store_pixels(const float* tile, T* dx, const Convolution& c, const Phases& p, int m0, int n0) {
  constexpr int N = Wide<T>::N;
  for (int i = threadIdx.x; i < BM * BN / N; i += THREADS) {
    int row = i / (BN / N);
    int column = i % (BN / N) * N;
    int m = m0 + row;
    int n = n0 + column;
    if (m >= p.rows(c) || n >= c.in) {
      continue;
    }
    int line = m / p.x.pixels;
    int image = line / p.y.pixels;
    int y = (line - image * p.y.pixels) * c.stride + p.y.first;
    int x = (m - line * p.x.pixels) * c.stride + p.x.first;
    T* to = dx + ((i64)(image * c.height + y) * c.width + x) * c.in + n;
    const float* from = tile + row * (BN + 4) + column;
    if (c.in % N == 0) {
      Pack<T, N> all;
      UNROLL
      for (int j = 0; j < N; j++) {
        all.at[j] = from_float<T>(from[j]);
      }
      *(Pack<T, N>*)to = all;
    } else {
      for (int j = 0; j < N && n + j < c.in; j++) {
        to[j] = from_float<T>(from[j]);
      }
    }
  }
}

// A tile of dw from shared memory [BM][BN + 4] to f32 [M, N].
template <int BM, int BN, int THREADS>
DEVICE void store_sums(const float* tile, float* sums, int M, int N, int m0, int n0) {
  for (int i = threadIdx.x; i < BM * BN / 4; i += THREADS) {
    int row = i / (BN / 4);
    int column = i % (BN / 4) * 4;
    int m = m0 + row;
    int n = n0 + column;
    if (m >= M || n >= N) {
      continue;
    }
    float* to = sums + (i64)m * N + n;
    const float* from = tile + row * (BN + 4) + column;
    if (N % 4 == 0) {
      *(Pack<float, 4>*)to = *(const Pack<float, 4>*)from;
    } else {
      for (int j = 0; j < 4 && n + j < N; j++) {
        to[j] = from[j];
      }
    }
  }
}

// blockIdx.z is the phase.
#define INPUT_PARAMETERS(T) (const T* dy, const T* w, T* dx, const Convolution c, int pitch, int wideDy, int wideW)

// blockIdx.z counts the matrices of a batched product, and in each the parts that its pixels are summed in: `rows` of them
// a part. sums [matrices][parts][out][taps][in].
#define WEIGHT_PARAMETERS(T) \
  (const T* x, const T* dy, float* sums, const Convolution c, int parts, int rows, int wideX, int wideDy)
