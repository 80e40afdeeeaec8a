// Matrix products of a warpgroup (wgmma, sm_90a). Operands lie in shared memory in rows of 128 bytes (64 elements): eight
// rows are a block of 1024 bytes, aligned to that, in which the 16-byte chunk c of row r is at c ^ (r % 8). `swizzled` says
// where; so neither the copies that write rows nor the tensor cores that read columns meet a bank twice.
// Operands that copies write need no more than a wait for those, bulk or copy_async16, and a barrier, as in CUTLASS's loops of
// this kind; what ordinary stores write is seen after seen_by_copies_and_products, which waits for all that is under way.
#pragma once
#include "device.cuh"

constexpr int ROW_BYTES = 128;
constexpr int ROW_ELEMENTS = 64;
constexpr int BLOCK_BYTES = 8 * ROW_BYTES;

// Bytes from a block's beginning to the chunk of 8 elements.
DEVICE int swizzled(int row, int chunk) { return row * ROW_BYTES + ((chunk ^ (row & 7)) << 4); }

#if defined(__CUDACC__)
// Of a tensor in device memory, what bulk copies need to know of it (cuTensorMapEncodeTiled); passed by value.
struct alignas(64) TensorMap {
  u64 words[16];
};
#define TENSOR_MAP const __grid_constant__ TensorMap

// A shared address that stays in its register: it would be computed again at each use.
DEVICE u32 kept_address(const void* shared) {
  u32 address;
  asm volatile("mov.u32 %0, %1;" : "=r"(address) : "r"(shared_address(shared)));
  return address;
}

DEVICE void seen_by_copies_and_products() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// An mbarrier: 8 bytes of shared memory. One thread makes it and, after seen_by_copies_and_products and a BARRIER, all use it:
// that thread says how many bytes each of its phases will bring (mbarrier_expect), the others wait for phases one after the other, of
// parity 0, 1, 0, ...
DEVICE void mbarrier_make(u32 mbarrier) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(mbarrier) : "memory");
}
DEVICE void mbarrier_expect(u32 mbarrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(mbarrier), "r"(bytes) : "memory");
}
DEVICE void mbarrier_wait(u32 mbarrier, int parity) {
  asm volatile(
      "{\n"
      ".reg .pred arrived;\n"
      "again_%=:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 arrived, [%0], %1;\n"
      "@!arrived bra again_%=;\n"
      "}" ::"r"(mbarrier), "r"(parity)
      : "memory");
}
// Copies the box at these coordinates, the innermost first; what lies outside of the tensor becomes zeros.
DEVICE void copy_box(u32 to, const TensorMap& map, int i0, int i1, int i2, int i3, u32 mbarrier) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, %6}], [%2];" ::"r"(to),
      "l"(&map), "r"(mbarrier), "r"(i0), "r"(i1), "r"(i2), "r"(i3)
      : "memory");
}

// Shared memory as operands want it.
#define SHARED_BLOCKS(name) extern __shared__ __align__(1024) unsigned char name[]

DEVICE void products_begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
DEVICE void products_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int GROUPS>
DEVICE void products_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(GROUPS) : "memory");
}

// An operand at `tile`. By rows of 64 along k: blocks of 8 rows follow each other. TURNED, by rows k of 64 columns each:
// blocks of 8 k follow each other, and the next 64 columns are `columns` bytes on.
DEVICE u64 operand(const void* tile, int columns = 0) {
  return (u64)((shared_address(tile) & 0x3ffff) >> 4) | (u64)(columns >> 4) << 16 | (u64)(BLOCK_BYTES >> 4) << 32 | 1ull << 62;
}

#define R_TEN(t) "%" #t "0,%" #t "1,%" #t "2,%" #t "3,%" #t "4,%" #t "5,%" #t "6,%" #t "7,%" #t "8,%" #t "9"
#define R_16 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15"
#define R_20 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9," R_TEN(1)
#define R_32 R_20 "," R_TEN(2) ",%30,%31"
#define R_40 R_20 "," R_TEN(2) "," R_TEN(3)
#define R_64 R_40 "," R_TEN(4) "," R_TEN(5) ",%60,%61,%62,%63"
#define R_80 R_40 "," R_TEN(4) "," R_TEN(5) "," R_TEN(6) "," R_TEN(7)
#define R_128 R_80 "," R_TEN(8) "," R_TEN(9) "," R_TEN(10) "," R_TEN(11) ",%120,%121,%122,%123,%124,%125,%126,%127"
#define D_4(C, i) C(d[(i) / 4][0]), C(d[(i) / 4][1]), C(d[(i) / 4][2]), C(d[(i) / 4][3])
#define D_20(C, i) D_4(C, i), D_4(C, i + 4), D_4(C, i + 8), D_4(C, i + 12), D_4(C, i + 16)
#define D_16(C) D_4(C, 0), D_4(C, 4), D_4(C, 8), D_4(C, 12)
#define D_32(C) D_20(C, 0), D_4(C, 20), D_4(C, 24), D_4(C, 28)
#define D_40(C) D_20(C, 0), D_20(C, 20)
#define D_64(C) D_40(C), D_20(C, 40), D_4(C, 60)
#define D_80(C) D_40(C), D_20(C, 40), D_20(C, 60)
#define D_128(C) D_80(C), D_20(C, 80), D_20(C, 100), D_4(C, 120), D_4(C, 124)
#define CHANGED "+f"
#define WRITTEN "=f"

// Of 64 x N, N = 2 COUNT: a warp has 16 rows, as mma.m16n8k16 has them.
template <class T, int N, int TURNED>
struct Wgmma;

#define WGMMA(T, TYPE, N, COUNT, TURNED, DS, A, B, B4)                                                              \
  template <>                                                                                                        \
  struct Wgmma<T, N, TURNED> {                                                                                       \
    /* d += a [64 x 16] b [16 x N] */                                                                                \
    static DEVICE void add(float (&d)[N / 8][4], u64 a, u64 b) {                                                     \
      asm volatile("wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." TYPE "." TYPE " {" R_##COUNT "}, %" A ", %" B   \
                   ", 1, 1, 1, 0, " #TURNED ";"                                                                      \
                   : DS(CHANGED)                                                                                     \
                   : "l"(a), "l"(b));                                                                                \
    }                                                                                                                \
    static DEVICE void add(float (&d)[N / 8][4], const u32 (&a)[4], u64 b) {                                         \
      asm volatile("wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." TYPE "." TYPE " {" R_##COUNT "}, " A_##COUNT    \
                   ", %" B4 ", 1, 1, 1, " #TURNED ";"                                                                \
                   : DS(CHANGED)                                                                                     \
                   : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));                                            \
    }                                                                                                                \
    /* d = a b */                                                                                                    \
    static DEVICE void set(float (&d)[N / 8][4], u64 a, u64 b) {                                                     \
      asm volatile("wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." TYPE "." TYPE " {" R_##COUNT "}, %" A ", %" B   \
                   ", 0, 1, 1, 0, " #TURNED ";"                                                                      \
                   : DS(WRITTEN)                                                                                     \
                   : "l"(a), "l"(b));                                                                                \
    }                                                                                                                \
    static DEVICE void set(float (&d)[N / 8][4], const u32 (&a)[4], u64 b) {                                         \
      asm volatile("wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." TYPE "." TYPE " {" R_##COUNT "}, " A_##COUNT    \
                   ", %" B4 ", 0, 1, 1, " #TURNED ";"                                                                \
                   : DS(WRITTEN)                                                                                     \
                   : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));                                            \
    }                                                                                                                \
  };
// Operand a as four registers after d.
#define A_16 "{%16,%17,%18,%19}"
#define A_20 "{%20,%21,%22,%23}"
#define A_32 "{%32,%33,%34,%35}"
#define A_40 "{%40,%41,%42,%43}"
#define A_64 "{%64,%65,%66,%67}"
#define A_80 "{%80,%81,%82,%83}"
#define A_128 "{%128,%129,%130,%131}"
#define D_20_OF(C) D_20(C, 0)
#define WGMMAS(T, TYPE, TURNED)                                          \
  WGMMA(T, TYPE, 32, 16, TURNED, D_16, "16", "17", "20")                 \
  WGMMA(T, TYPE, 40, 20, TURNED, D_20_OF, "20", "21", "24")              \
  WGMMA(T, TYPE, 64, 32, TURNED, D_32, "32", "33", "36")                 \
  WGMMA(T, TYPE, 80, 40, TURNED, D_40, "40", "41", "44")                 \
  WGMMA(T, TYPE, 128, 64, TURNED, D_64, "64", "65", "68")                \
  WGMMA(T, TYPE, 160, 80, TURNED, D_80, "80", "81", "84")                \
  WGMMA(T, TYPE, 256, 128, TURNED, D_128, "128", "129", "132")
WGMMAS(bf16, "bf16", 0)
WGMMAS(bf16, "bf16", 1)
WGMMAS(f16, "f16", 0)
WGMMAS(f16, "f16", 1)

#else
#include "../emulator/hopper.h"
#endif
