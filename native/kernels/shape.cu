// Moving elements: b16 and b32 stand for any type of that size.
#include "device.cuh"

typedef u16 b16;
typedef u32 b32;

// [rows, columns] whose rows are `from` elements apart, to where they are `to` elements apart: one operand of a
// concatenation, or a slice.
template <class T, int N>
DEVICE void copy_rows(const T* x, T* y, i64 rows, i64 columns, i64 from, i64 to) {
  typedef Pack<T, N> Vector;
  i64 vectors = columns / N;
  for (i64 i = grid_thread(); i < rows * vectors; i += grid_threads()) {
    i64 row = i / vectors;
    i64 column = (i - row * vectors) * N;
    *(Vector*)(y + row * to + column) = *(const Vector*)(x + row * from + column);
  }
}

// y[i] = x[numbers[i]], rows of C elements.
template <class T, int N>
DEVICE void gather_rows(const T* x, const int* numbers, T* y, i64 rows, i64 C) {
  typedef Pack<T, N> Vector;
  i64 vectors = C / N;
  for (i64 i = grid_thread(); i < rows * vectors; i += grid_threads()) {
    i64 row = i / vectors;
    ((Vector*)y)[i] = ((const Vector*)x)[numbers[row] * vectors + i - row * vectors];
  }
}

// [B, H, W, C] -> [B, height, width, C]; the source index is computed in f32, as torch does.
template <class T, int N>
DEVICE void upsample_nearest(const T* x, T* y, i64 total, int H, int W, int C, int height, int width) {
  typedef Pack<T, N> Vector;
  int vectors = C / N;
  float down = (float)H / (float)height;
  float across = (float)W / (float)width;
  for (i64 i = grid_thread(); i < total / N; i += grid_threads()) {
    i64 pixel = i / vectors;
    int channel = (int)(i - pixel * vectors) * N;
    int column = (int)(pixel % width);
    i64 line = pixel / width;
    int fromRow = min((int)((float)(int)(line % height) * down), H - 1);
    int fromColumn = min((int)((float)column * across), W - 1);
    i64 from = ((line / height * H + fromRow) * W + fromColumn) * C + channel;
    ((Vector*)y)[i] = *(const Vector*)(x + from);
  }
}

constexpr int TILE = 32;
constexpr int TILE_ROWS = 8;

// [batch][rows][columns] -> [batch][columns][pitch], of which the first `rows` are written, through shared memory, so
// that both sides are coalesced.
template <class T>
DEVICE void transpose(const T* x, T* y, int rows, int columns, int pitch) {
  SHARED_BYTES(shared);
  T* tile = (T*)shared;
  i64 matrix = (i64)blockIdx.z * rows * columns;
  int tx = threadIdx.x % TILE;
  int ty = threadIdx.x / TILE;
  int column = blockIdx.x * TILE + tx;
  for (int i = ty; i < TILE; i += TILE_ROWS) {
    int row = blockIdx.y * TILE + i;
    if (row < rows && column < columns) {
      tile[i * (TILE + 1) + tx] = x[matrix + (i64)row * columns + column];
    }
  }
  BARRIER();
  int row = blockIdx.y * TILE + tx;
  for (int i = ty; i < TILE; i += TILE_ROWS) {
    int to = blockIdx.x * TILE + i;
    if (row < rows && to < columns) {
      y[((i64)blockIdx.z * columns + to) * pitch + row] = tile[tx * (TILE + 1) + i];
    }
  }
}

constexpr int AT_ONCE = 4;  // loads that are under way together

// Segment-embedding concatenation. One block makes the rows blockIdx.x, blockIdx.x + gridDim.x, ... of caption
// blockIdx.y. It first finds which tokens stay, in order; then each warp copies rows.
// hidden [S, L, D], stay [S, words] with a bit a token, firstSegment [captions + 1], y [captions, length, D].
template <class T, int N>
DEVICE void segment_concat(const T* hidden, const u32* stay, const int* firstSegment, const T* padding, T* y, int L, int D,
                           int length) {
  SHARED_BYTES(shared);
  int* source = (int*)shared;                  // [length]: which token, or -1 for padding
  int* warpCounts = source + length;           // one per warp
  int caption = blockIdx.y;
  int words = (L + 31) / 32;
  int first = firstSegment[caption] * L;
  int tokens = firstSegment[caption + 1] * L - first;
  int lane = lane_id();
  int warp = threadIdx.x / 32;
  int warps = blockDim.x / 32;
  for (int i = threadIdx.x; i < length; i += blockDim.x) {
    source[i] = -1;
  }
  int kept = 0;
  for (int start = 0; start < tokens; start += blockDim.x) {
    int token = start + (int)threadIdx.x;
    int segment = (first + token) / L;
    int inSegment = first + token - segment * L;
    bool stays = token < tokens && (stay[segment * words + inSegment / 32] >> inSegment % 32 & 1) != 0;
    u32 votes = warp_ballot(stays);
    if (lane == 0) {
      warpCounts[warp] = count_bits(votes);
    }
    BARRIER();
    int before = kept;
    for (int w = 0; w < warps; w++) {
      before += w < warp ? warpCounts[w] : 0;
      kept += warpCounts[w];
    }
    int position = before + count_bits(votes & ((1u << lane) - 1));
    if (stays && position < length) {
      source[position] = first + token;
    }
    BARRIER();
  }
  BARRIER();
  typedef Pack<T, N> Vector;
  int vectors = D / N;
  for (int row = blockIdx.x * warps + warp; row < length; row += gridDim.x * warps) {
    const Vector* from = (const Vector*)(source[row] < 0 ? padding : hidden + (i64)source[row] * D);
    Vector* to = (Vector*)(y + ((i64)caption * length + row) * D);
    for (int i = lane; i < vectors; i += 32 * AT_ONCE) {
      Vector v[AT_ONCE];
      UNROLL
      for (int j = 0; j < AT_ONCE; j++) {
        if (i + j * 32 < vectors) {
          v[j] = from[i + j * 32];
        }
      }
      UNROLL
      for (int j = 0; j < AT_ONCE; j++) {
        if (i + j * 32 < vectors) {
          to[i + j * 32] = v[j];
        }
      }
    }
  }
}

#define SHAPES(T)                                                                                                      \
  KERNEL(copyRows_fwd_##T, 256, 4, (const T* x, T* y, i64 rows, i64 columns, i64 from, i64 to, int wide)) {            \
    after_kernels_before();                                                                                            \
    if (wide) {                                                                                                        \
      copy_rows<T, 16 / sizeof(T)>(x, y, rows, columns, from, to);                                                     \
    } else {                                                                                                           \
      copy_rows<T, 1>(x, y, rows, columns, from, to);                                                                  \
    }                                                                                                                  \
  }                                                                                                                    \
  KERNEL(gatherRows_fwd_##T, 256, 4, (const T* x, const int* numbers, T* y, i64 rows, i64 C, int wide)) {              \
    after_kernels_before();                                                                                            \
    if (wide) {                                                                                                        \
      gather_rows<T, 16 / sizeof(T)>(x, numbers, y, rows, C);                                                          \
    } else {                                                                                                           \
      gather_rows<T, 1>(x, numbers, y, rows, C);                                                                       \
    }                                                                                                                  \
  }                                                                                                                    \
  KERNEL(upsampleNearest_fwd_##T, 256, 4,                                                                              \
         (const T* x, T* y, i64 total, int H, int W, int C, int height, int width, int wide)) {                        \
    after_kernels_before();                                                                                            \
    if (wide) {                                                                                                        \
      upsample_nearest<T, 16 / sizeof(T)>(x, y, total, H, W, C, height, width);                                        \
    } else {                                                                                                           \
      upsample_nearest<T, 1>(x, y, total, H, W, C, height, width);                                                     \
    }                                                                                                                  \
  }                                                                                                                    \
  KERNEL(transpose_fwd_##T, 256, 4, (const T* x, T* y, int rows, int columns, int pitch)) {                            \
    after_kernels_before();                                                                                            \
    transpose(x, y, rows, columns, pitch);                                                                             \
  }                                                                                                                    \
  KERNEL(segmentConcat_fwd_##T, 256, 4,                                                                                \
         (const T* hidden, const u32* stay, const int* firstSegment, const T* padding, T* y, int L, int D, int length, \
          int wide)) {                                                                                                 \
    after_kernels_before();                                                                                            \
    if (wide) {                                                                                                        \
      segment_concat<T, 16 / sizeof(T)>(hidden, stay, firstSegment, padding, y, L, D, length);                          \
    } else {                                                                                                           \
      segment_concat<T, 1>(hidden, stay, firstSegment, padding, y, L, D, length);                                       \
    }                                                                                                                  \
  }

SHAPES(b16)
SHAPES(b32)

// Weights as the products want them: torch's [out][channels][taps] becomes [out][taps][channels], each row padded with
// zeros to `pitch`. With `pairs`, rows i and i + out / 2 (GEGLU's hidden and gate) become neighbours.
template <class T>
DEVICE void pack_weight(const f32* w, T* y, int out, int channels, int taps, int pitch, int pairs) {
  i64 total = (i64)out * pitch;
  for (i64 i = grid_thread(); i < total; i += grid_threads()) {
    int row = (int)(i / pitch);
    int k = (int)(i - (i64)row * pitch);
    int from = pairs ? row % 2 * (out / 2) + row / 2 : row;
    float value = 0;
    if (k < channels * taps) {
      value = to_float(w[((i64)from * channels + k % channels) * taps + k / channels]);
    }
    y[i] = from_float<T>(value);
  }
}

#define PACK(T)                                                                                                   \
  KERNEL(packWeight_fwd_##T, 256, 4, (const f32* w, T* y, int out, int channels, int taps, int pitch, int pairs)) { \
    after_kernels_before();                                                                                         \
    pack_weight(w, y, out, channels, taps, pitch, pairs);                                                         \
  }

PACK(f32)
PACK(bf16)
PACK(f16)
