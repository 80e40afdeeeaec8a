// The products of a warpgroup (native/kernels/hopper.cuh) without a GPU: each warp computes its 16 rows, from where the
// operands' descriptions and the swizzle say they are, as so many mma.m16n8k16. When, block.cpp decides.
#pragma once
#define SHARED_BLOCKS(name) SHARED_BYTES(name)

DEVICE void products_begin() {}
DEVICE void products_commit() { emulator::emulator_products_commit(); }
template <int GROUPS>
DEVICE void products_wait() {
  emulator::emulator_products_wait(GROUPS);
}

DEVICE void finish_before_waiting(float) {}

DEVICE u64 operand(const void* tile, int columns = 0) {
  u64 offset = (const unsigned char*)tile - emulator::emulator_thread->shared;
  return offset >> 4 | (u64)(columns >> 4) << 16 | (u64)(BLOCK_BYTES >> 4) << 32 | 1ull << 62;
}

// The element at `k` of row (or, of operand B, column) i.
DEVICE u16 operand_element(u64 operand, bool turned, int i, int k) {
  u64 start = (operand & 0x3fff) << 4;
  u64 columns = (operand >> 16 & 0x3fff) << 4;
  u64 blocks = (operand >> 32 & 0x3fff) << 4;
  u64 at = turned ? start + i / 64 * columns + k / 8 * blocks + k % 8 * 128 + i % 64 * 2
                  : start + i / 8 * blocks + i % 8 * 128 + k * 2;
  at ^= (at >> 7 & 7) << 4;
  return *(const u16*)(emulator::emulator_thread->shared + at);
}
DEVICE u32 operand_pair(u64 operand, bool turned, int i, int k) {
  return operand_element(operand, turned, i, k) | (u32)operand_element(operand, turned, i, k + 1) << 16;
}

template <class T, int N, int TURNED>
struct Wgmma {
  typedef float (&Sums)[N / 8][4];

  static DEVICE void multiply(float* sums, const u32 (&a)[4], u64 b) {
    Sums d = *(float (*)[N / 8][4])sums;
    int lane = lane_id();
    for (int j = 0; j < N / 8; j++) {
      int n = j * 8 + lane / 4;
      Half<T>::mma(d[j], a, operand_pair(b, TURNED, n, lane % 4 * 2), operand_pair(b, TURNED, n, lane % 4 * 2 + 8));
    }
  }

  static void add_shared(float* sums, const u32*, u64 a, u64 b) {
    int row = threadIdx.x / 32 % 4 * 16 + lane_id() / 4;
    int k = lane_id() % 4 * 2;
    u32 fragment[4] = {operand_pair(a, false, row, k), operand_pair(a, false, row + 8, k),
                       operand_pair(a, false, row, k + 8), operand_pair(a, false, row + 8, k + 8)};
    multiply(sums, fragment, b);
  }

  static void add_registers(float* sums, const u32* a, u64, u64 b) { multiply(sums, *(const u32 (*)[4])a, b); }

  static void set_registers(float* sums, const u32* a, u64, u64 b) {
    for (int i = 0; i < N / 2; i++) {
      sums[i] = 0;
    }
    add_registers(sums, a, 0, b);
  }

  static DEVICE void enqueue(emulator::Product product) { emulator::emulator_product(&product); }
  static DEVICE void add(Sums d, u64 a, u64 b) { enqueue({add_shared, d[0], nullptr, a, b}); }
  static DEVICE void add(Sums d, const u32 (&a)[4], u64 b) { enqueue({add_registers, d[0], a, 0, b}); }
  static DEVICE void set(Sums d, const u32 (&a)[4], u64 b) { enqueue({set_registers, d[0], a, 0, b}); }
};
