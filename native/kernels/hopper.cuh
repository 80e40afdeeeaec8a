// Matrix products of a warpgroup (wgmma, sm_90a). Operands lie in shared memory in rows of 128 bytes (64 elements): eight
// rows are a block of 1024 bytes, aligned to that, in which the 16-byte chunk c of row r is at c ^ (r % 8). `swizzled` says
// where; so neither the copies that write rows nor the tensor cores that read columns meet a bank twice.
#pragma once
#include "device.cuh"

constexpr int ROW_BYTES = 128;
constexpr int ROW_ELEMENTS = 64;
constexpr int BLOCK_BYTES = 8 * ROW_BYTES;

// Bytes from a block's beginning to the chunk of 8 elements.
DEVICE int swizzled(int row, int chunk) { return row * ROW_BYTES + ((chunk ^ (row & 7)) << 4); }

#if defined(__CUDACC__)
// Shared memory as operands want it.
#define SHARED_BLOCKS(name) extern __shared__ __align__(1024) unsigned char name[]

// What this thread has written to shared memory can be read by a product after the next barrier.
DEVICE void publish_shared() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
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
#define R_20 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9," R_TEN(1)
#define R_32 R_20 "," R_TEN(2) ",%30,%31"
#define R_40 R_20 "," R_TEN(2) "," R_TEN(3)
#define R_64 R_40 "," R_TEN(4) "," R_TEN(5) ",%60,%61,%62,%63"
#define R_80 R_40 "," R_TEN(4) "," R_TEN(5) "," R_TEN(6) "," R_TEN(7)
#define R_128 R_80 "," R_TEN(8) "," R_TEN(9) "," R_TEN(10) "," R_TEN(11) ",%120,%121,%122,%123,%124,%125,%126,%127"
#define D_4(i) "+f"(d[(i) / 4][0]), "+f"(d[(i) / 4][1]), "+f"(d[(i) / 4][2]), "+f"(d[(i) / 4][3])
#define D_20(i) D_4(i), D_4(i + 4), D_4(i + 8), D_4(i + 12), D_4(i + 16)
#define D_32 D_20(0), D_4(20), D_4(24), D_4(28)
#define D_40 D_20(0), D_20(20)
#define D_64 D_40, D_20(40), D_4(60)
#define D_80 D_40, D_20(40), D_20(60)
#define D_128 D_80, D_20(80), D_20(100), D_4(120), D_4(124)

// d [64 x N] (+)= a [64 x 16] b [16 x N]; a warp has 16 rows, as mma.m16n8k16 has them. `add` false: d is set.
template <class T, int N, int TURNED>
struct Wgmma;

#define WGMMA(T, TYPE, N, COUNT, TURNED, DS, A, B, ADD, A4)                                                          \
  template <>                                                                                                        \
  struct Wgmma<T, N, TURNED> {                                                                                       \
    static DEVICE void multiply(float (&d)[N / 8][4], u64 a, u64 b, int add) {                                          \
      asm volatile("{.reg .pred p; setp.ne.b32 p, %" ADD ", 0;\n"                                                    \
                   "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." TYPE "." TYPE " {" R_##COUNT "}, %" A ", %" B   \
                   ", p, 1, 1, 0, " #TURNED ";}"                                                                     \
                   : DS                                                                                              \
                   : "l"(a), "l"(b), "r"(add));                                                                      \
    }                                                                                                                \
    static DEVICE void multiply(float (&d)[N / 8][4], const u32 (&a)[4], u64 b, int add) {                              \
      asm volatile("{.reg .pred p; setp.ne.b32 p, %" A4 ", 0;\n"                                                     \
                   "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." TYPE "." TYPE " {" R_##COUNT "}, {"             \
                   A_##COUNT ", p, 1, 1, " #TURNED ";}"                                                             \
                   : DS                                                                                              \
                   : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add));                                  \
    }                                                                                                                \
  };
// The operands after d: a as four registers, then b.
#define A_20 "%20,%21,%22,%23}, %24"
#define A_32 "%32,%33,%34,%35}, %36"
#define A_40 "%40,%41,%42,%43}, %44"
#define A_64 "%64,%65,%66,%67}, %68"
#define A_80 "%80,%81,%82,%83}, %84"
#define A_128 "%128,%129,%130,%131}, %132"
#define WGMMAS(T, TYPE, TURNED)                                                \
  WGMMA(T, TYPE, 40, 20, TURNED, D_20(0), "20", "21", "22", "25")              \
  WGMMA(T, TYPE, 64, 32, TURNED, D_32, "32", "33", "34", "37")                 \
  WGMMA(T, TYPE, 80, 40, TURNED, D_40, "40", "41", "42", "45")                 \
  WGMMA(T, TYPE, 128, 64, TURNED, D_64, "64", "65", "66", "69")                \
  WGMMA(T, TYPE, 160, 80, TURNED, D_80, "80", "81", "82", "85")                \
  WGMMA(T, TYPE, 256, 128, TURNED, D_128, "128", "129", "130", "133")
WGMMAS(bf16, "bf16", 0)
WGMMAS(bf16, "bf16", 1)
WGMMAS(f16, "f16", 0)
WGMMAS(f16, "f16", 1)

#else
#include "../emulator/hopper.h"
#endif
