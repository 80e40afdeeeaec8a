// Hopper's own (native/kernels/hopper.cuh) without a GPU. Of a warpgroup's products each warp computes its 16 rows, from where
// the operands' descriptions and the swizzle say they are, as so many mma.m16n8k16. When, block.cpp decides; when bulk copies
// arrive, copies.cpp.
#pragma once
#define SHARED_BLOCKS(name) SHARED_BYTES(name)

typedef emulator::TensorMap TensorMap;
#define TENSOR_MAP const TensorMap

DEVICE u32 kept_address(const void* shared) {
  return (u32)((const unsigned char*)shared - emulator::emulator_thread->shared);
}
DEVICE void mbarrier_make(u32 mbarrier) { emulator::emulator_mbarrier_make(mbarrier); }
DEVICE void seen_by_copies_and_products() {}
DEVICE void mbarrier_expect(u32 mbarrier, int bytes) { emulator::emulator_mbarrier_expect(mbarrier, bytes); }
DEVICE void mbarrier_wait(u32 mbarrier, int parity) { emulator::emulator_mbarrier_wait(mbarrier, parity); }
DEVICE void copy_box(u32 to, const TensorMap& map, int i0, int i1, int i2, int i3, u32 mbarrier) {
  int at[4] = {i0, i1, i2, i3};
  emulator::emulator_copy_box(to, &map, at, mbarrier);
}

DEVICE void products_begin() {}
DEVICE void products_commit() { emulator::emulator_products_commit(); }
template <int GROUPS>
DEVICE void products_wait() {
  emulator::emulator_products_wait(GROUPS);
}

DEVICE u64 operand(const void* tile, int columns = 0) {
  return kept_address(tile) >> 4 | (u64)(columns >> 4) << 16 | (u64)(BLOCK_BYTES >> 4) << 32 | 1ull << 62;
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

  static void set_shared(float* sums, const u32* none, u64 a, u64 b) {
    clear(sums);
    add_shared(sums, none, a, b);
  }

  static void add_registers(float* sums, const u32* a, u64, u64 b) { multiply(sums, *(const u32 (*)[4])a, b); }

  static void set_registers(float* sums, const u32* a, u64, u64 b) {
    clear(sums);
    add_registers(sums, a, 0, b);
  }

  static DEVICE void clear(float* sums) {
    for (int i = 0; i < N / 2; i++) {
      sums[i] = 0;
    }
  }

  static DEVICE void enqueue(emulator::Product product) { emulator::emulator_product(&product); }
  static DEVICE void add(Sums d, u64 a, u64 b) { enqueue({add_shared, d[0], nullptr, a, b}); }
  static DEVICE void add(Sums d, const u32 (&a)[4], u64 b) { enqueue({add_registers, d[0], a, 0, b}); }
  static DEVICE void set(Sums d, u64 a, u64 b) { enqueue({set_shared, d[0], nullptr, a, b}); }
  static DEVICE void set(Sums d, const u32 (&a)[4], u64 b) { enqueue({set_registers, d[0], a, 0, b}); }
};
