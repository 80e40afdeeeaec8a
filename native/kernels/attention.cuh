// What the attention kernels on tensor cores share: the online softmax (Milakov and Gimelshein 2018; FlashAttention-2, Dao
// 2023) of 16 queries that a warp holds as mma.m16n8k16 leaves them. A lane knows of rows lane / 4 and lane / 4 + 8.
#pragma once
#include "device.cuh"

constexpr float LOG2E = 1.4426950408889634f;
constexpr int WIDE = 1;
constexpr int CAUSAL = 2;
// Sums are scaled down when a row's largest score has grown by 2^8, not at each step; the result is the same.
constexpr float GROWTH = 8;

// Sixteen queries with COLUMNS * 8 columns of V.
template <class T, int COLUMNS>
struct Queries {
  float sums[COLUMNS][4];
  float reference[2];  // what probabilities are relative to, in powers of 2
  float total[2];      // of probabilities, this lane's part

  DEVICE void clear() {
    UNROLL
    for (int i = 0; i < COLUMNS * 4; i++) {
      sums[i / 4][i % 4] = 0;
    }
    UNROLL
    for (int half = 0; half < 2; half++) {
      reference[half] = MINUS_INFINITY;
      total[half] = 0;
    }
  }

  // Hides the keys from `keys` on and, of row r, those from first + r + 1 on; the scores are those of `key` and after.
  template <int TILES>
  DEVICE void mask(float (&scores)[TILES][4], int key, int keys, int first) const {
    if (key + TILES * 8 <= min(keys, first + 1)) {
      return;
    }
    int lane = lane_id();
    int seen = first + lane / 4 + 1;
    UNROLL
    for (int i = 0; i < TILES * 4; i++) {
      if (key + i / 4 * 8 + lane % 4 * 2 + i % 2 >= min(keys, seen + i % 4 / 2 * 8)) {
        scores[i / 4][i % 4] = MINUS_INFINITY;
      }
    }
  }

  // The largest score of the row lane / 4 + 8 half.
  template <int TILES>
  static DEVICE float highest_of(const float (&scores)[TILES][4], int half) {
    float even = MINUS_INFINITY;  // two chains: one would wait for itself
    float odd = MINUS_INFINITY;
    UNROLL
    for (int j = 0; j < TILES; j++) {
      even = fmaxf(even, scores[j][half * 2]);
      odd = fmaxf(odd, scores[j][half * 2 + 1]);
    }
    float highest = fmaxf(even, odd);
    highest = fmaxf(highest, shfl_xor(highest, 1));
    return fmaxf(highest, shfl_xor(highest, 2));
  }

  // Raises the references to `highest` where that is more; sums have to shrink by `shrink` then.
  DEVICE void refer_to(const float (&highest)[2], float (&shrink)[2]) {
    UNROLL
    for (int half = 0; half < 2; half++) {
      float h = fmaxf(reference[half], highest[half]);
      shrink[half] = h == MINUS_INFINITY ? 1.0f : fast_exp2(reference[half] - h);
      reference[half] = h;
      total[half] *= shrink[half];
    }
  }

  // Of one row, relative to its reference; a pair of them goes to `take`. Returns their sum.
  template <int TILES, class F>
  DEVICE float exponentials(const float (&scores)[TILES][4], int half, float scale2, F take) const {
    // A row of nothing but -infinity keeps a finite reference: its probabilities become 0 / 0, as they should.
    float minus = reference[half] == MINUS_INFINITY ? 0.0f : -reference[half];
    float even = 0;
    float odd = 0;
    UNROLL
    for (int j = 0; j < TILES; j++) {
      float left = fast_exp2(fmaf(scores[j][half * 2], scale2, minus));
      float right = fast_exp2(fmaf(scores[j][half * 2 + 1], scale2, minus));
      take(j, left, right);
      even += left;
      odd += right;
    }
    return even + odd;
  }

  // Scores become probabilities, relative to the largest of their rows so far. Returns whether that is so much larger now
  // that the sums have to shrink; by how much goes to `shrink`.
  template <int TILES>
  DEVICE bool softmax(float (&scores)[TILES][4], float (&shrink)[2], float scale2) {
    float highest[2];
    bool grown = false;
    UNROLL
    for (int half = 0; half < 2; half++) {
      highest[half] = highest_of(scores, half) * scale2;
      grown |= highest[half] > reference[half] + GROWTH;
    }
    grown = warp_ballot(grown) != 0;
    if (grown) {
      refer_to(highest, shrink);
    }
    UNROLL
    for (int half = 0; half < 2; half++) {
      total[half] += exponentials(scores, half, scale2, [&](int j, float left, float right) {
        scores[j][half * 2] = left;
        scores[j][half * 2 + 1] = right;
      });
    }
    return grown;
  }

  // The same without looking for the largest score, but of the FIRST step: probabilities are relative to the largest of that
  // one as long as they are not too large. They go to `p`, as operand A of the product with V; `meanwhile` is called once.
  template <bool FIRST, int TILES, class F>
  DEVICE bool softmax(u32 (&p)[TILES / 2][4], const float (&scores)[TILES][4], float (&shrink)[2], float scale2, F meanwhile) {
    bool again = FIRST;
    float step[2];
    while (true) {
      if (again) {
        float highest[2];
        highest[0] = highest_of(scores, 0) * scale2;
        highest[1] = highest_of(scores, 1) * scale2;
        refer_to(highest, shrink);
      }
      UNROLL
      for (int half = 0; half < 2; half++) {
        step[half] = exponentials(scores, half, scale2, [&](int j, float left, float right) {
          p[j / 2][j % 2 * 2 + half] = Half<T>::pack(left, right);
        });
        if (half == 0 && (FIRST || !again)) {
          meanwhile();
        }
      }
      bool more = !(step[0] <= Half<T>::PLENTY && step[1] <= Half<T>::PLENTY) ||
                  fminf(reference[0], reference[1]) == MINUS_INFINITY;
      if (again || warp_ballot(more) == 0) {
        break;
      }
      again = true;
    }
    total[0] += step[0];
    total[1] += step[1];
    return again;
  }

  DEVICE void scale_sums(const float (&shrink)[2]) {
    UNROLL
    for (int i = 0; i < COLUMNS * 4; i++) {
      sums[i / 4][i % 4] *= shrink[i % 4 / 2];
    }
  }

  // Probabilities as operand A of the product with V.
  template <int TILES>
  static DEVICE void pack(u32 (&p)[TILES / 2][4], const float (&probabilities)[TILES][4]) {
    UNROLL
    for (int i = 0; i < TILES / 2; i++) {
      UNROLL
      for (int r = 0; r < 4; r++) {
        const float* pair = probabilities[2 * i + r / 2] + r % 2 * 2;
        p[i][r] = Half<T>::pack(pair[0], pair[1]);
      }
    }
  }

  static constexpr int VALUES = COLUMNS * 4 + 4;

  // What another warp knows of the same queries from other keys passes through `shared`, [VALUES][apart].
  DEVICE void give(float* shared, int apart) const {
    UNROLL
    for (int i = 0; i < COLUMNS * 4; i++) {
      shared[i * apart] = sums[i / 4][i % 4];
    }
    UNROLL
    for (int half = 0; half < 2; half++) {
      shared[(COLUMNS * 4 + half) * apart] = reference[half];
      shared[(COLUMNS * 4 + 2 + half) * apart] = total[half];
    }
  }

  DEVICE void take(const float* shared, int apart) {
    UNROLL
    for (int half = 0; half < 2; half++) {
      float other = shared[(COLUMNS * 4 + half) * apart];
      float highest = fmaxf(reference[half], other);
      float minus = highest == MINUS_INFINITY ? 0.0f : -highest;
      float here = fast_exp2(reference[half] + minus);
      float there = fast_exp2(other + minus);
      reference[half] = highest;
      total[half] = total[half] * here + shared[(COLUMNS * 4 + 2 + half) * apart] * there;
      UNROLL
      for (int i = 0; i < COLUMNS * 2; i++) {
        float& sum = sums[i / 2][half * 2 + i % 2];
        sum = sum * here + shared[(i / 2 * 4 + half * 2 + i % 2) * apart] * there;
      }
    }
  }

  // y: of the first query, of which `rows` exist.
  DEVICE void store(T* y, i64 width, int rows, int columns) const {
    int lane = lane_id();
    UNROLL
    for (int half = 0; half < 2; half++) {
      float all = total[half];
      all += shfl_xor(all, 1);
      all += shfl_xor(all, 2);
      int row = half * 8 + lane / 4;
      if (row >= rows) {
        continue;
      }
      float factor = fast_reciprocal(all);
      UNROLL
      for (int j = 0; j < COLUMNS; j++) {
        int column = j * 8 + lane % 4 * 2;
        if (column < columns) {
          Pack<T, 2> two;
          two.at[0] = from_float<T>(sums[j][half * 2] * factor);
          two.at[1] = from_float<T>(sums[j][half * 2 + 1] * factor);
          *(Pack<T, 2>*)(y + row * width + column) = two;
        }
      }
    }
  }
};

// The largest score must give the largest exponent: a negative scale goes into the signs of the queries.
DEVICE u32 sign_of(float scale) { return scale < 0 ? 0x80008000u : 0; }
DEVICE float scale_of_powers(float scale) { return scale == 0 ? 1e-30f : (scale < 0 ? -scale : scale) * LOG2E; }
