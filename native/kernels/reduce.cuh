// Sums over rows, in a fixed order: a block adds the rows of its chunk, a later launch adds what the blocks leave.
#pragma once
#include "device.cuh"

// K sums over rows at once. f(row, column, sums) adds the N values that a row has from the column on. Block (x, y) adds the
// rows of chunk y, in columns of tile x % tiles and part x / tiles: y [parts][chunks][C]; what is null is not stored.
template <int N, int K, class F>
DEVICE void column_sums(float* const (&y)[K], i64 rowsPerPart, int C, i64 chunkRows, F f) {
  SHARED_BYTES(shared);
  float* scratch = (float*)shared;  // [K][rows of threads][columns * N]
  int vectors = C / N;
  int tile = min(vectors, 32);
  int tiles = (vectors + tile - 1) / tile;
  int part = blockIdx.x / tiles;
  int start = (blockIdx.x - part * tiles) * tile;
  int columns = min(vectors - start, tile);
  int rows = blockDim.x / columns;
  int column = threadIdx.x % columns;
  int row = threadIdx.x / columns;
  float sums[K][N];
  UNROLL
  for (int k = 0; k < K; k++) {
    UNROLL
    for (int j = 0; j < N; j++) {
      sums[k][j] = 0;
    }
  }
  if (row < rows) {
    i64 from = blockIdx.y * chunkRows;
    i64 to = min(rowsPerPart, from + chunkRows);
    for (i64 r = from + row; r < to; r += rows) {
      f(part * rowsPerPart + r, (start + column) * N, sums);
    }
    UNROLL
    for (int k = 0; k < K; k++) {
      UNROLL
      for (int j = 0; j < N; j++) {
        scratch[(k * rows + row) * columns * N + column * N + j] = sums[k][j];
      }
    }
  }
  BARRIER();
  i64 out = ((i64)part * gridDim.y + blockIdx.y) * C + start * N;
  for (int i = threadIdx.x; i < columns * N; i += blockDim.x) {
    UNROLL
    for (int k = 0; k < K; k++) {
      float sum = 0;
      for (int r = 0; r < rows; r++) {
        sum += scratch[(k * rows + r) * columns * N + i];
      }
      if (y[k] != nullptr) {
        y[k][out + i] = sum;
      }
    }
  }
}
