// The dialect that every kernel here is written in: CUDA C++ without any header, so that nvcc, NVRTC and (through
// ../emulator/kernel.h) g++ compile the same sources. Numbers are computed in f32, whatever type they are stored in.
#pragma once

#if defined(__CUDACC__)

#define KERNEL(name, threads, blocks, parameters) \
  extern "C" __global__ void __launch_bounds__(threads, blocks) name parameters
#define DEVICE __device__ __forceinline__
#define UNROLL _Pragma("unroll")
#define ROLLED _Pragma("unroll 1")
// The one dynamic shared array of a kernel, aligned for 16-byte access.
#define SHARED_BYTES(name) extern __shared__ __align__(16) unsigned char name[]
#define BARRIER() __syncthreads()
// Barriers 1 to 15 beside that one: `threads` come to it, of which those that arrive do not wait for the others. Both are
// constants: for a number that it does not know ptxas reserves all sixteen.
#define BARRIER_SYNC(id, threads) asm volatile("bar.sync %0, %1;" ::"n"(id), "n"(threads) : "memory")
#define BARRIER_ARRIVE(id, threads) asm volatile("bar.arrive %0, %1;" ::"n"(id), "n"(threads) : "memory")

typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

// In every kernel, before it touches device memory: on Hopper its blocks may be there before the kernels enqueued earlier are
// done (programmatic dependent launch), and what those write or read is not to be touched until they are. The next kernel's
// blocks may come as soon as all of this one's are there.
DEVICE void after_kernels_before() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

DEVICE float shfl_xor(float value, int mask) { return __shfl_xor_sync(0xffffffffu, value, mask); }
DEVICE int shfl_up(int value, int delta) { return __shfl_up_sync(0xffffffffu, value, delta); }
DEVICE u32 warp_ballot(bool predicate) { return __ballot_sync(0xffffffffu, predicate); }
DEVICE int count_bits(u32 bits) { return __popc(bits); }
DEVICE float bits_to_float(u32 bits) { return __uint_as_float(bits); }
DEVICE float fast_exp(float x) { return __expf(x); }
// One instruction; results below 2^-126 become 0.
DEVICE float fast_exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
DEVICE float reciprocal_sqrt(float x) { return rsqrtf(x); }
DEVICE float fast_reciprocal(float x) { return __fdividef(1.0f, x); }

DEVICE float bf16_to_float(u16 bits) { return __uint_as_float((u32)bits << 16); }
DEVICE u16 float_to_bf16(float x) {
  u16 bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return bits;
}
DEVICE float f16_to_float(u16 bits) {
  float x;
  asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
  return x;
}
DEVICE u16 float_to_f16(float x) {
  u16 bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return bits;
}
DEVICE u32 pack_bf16(float low, float high) {
  u32 bits;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
  return bits;
}
DEVICE u32 pack_f16(float low, float high) {
  u32 bits;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
  return bits;
}

// Notes in the PTX how much dynamic shared memory a launch needs, for report.awk.
template <int BYTES>
DEVICE void declare_shared() {
  asm volatile("// dynamic shared memory %0" ::"n"(BYTES));
}

DEVICE u32 shared_address(const void* pointer) { return (u32)__cvta_generic_to_shared(pointer); }

// Copies 16 bytes to shared memory behind the thread's back; with `use` false it writes zeros and reads nothing.
DEVICE void copy_async16(void* shared, const void* global, bool use) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global),
               "r"(use ? 16 : 0)
               : "memory");
}
DEVICE void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int GROUPS>
DEVICE void copy_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(GROUPS) : "memory");
}

// Fragments of mma.m16n8k16. `tile` and `pitch` (in elements; rows start on 16 bytes) are the same in the whole warp.
DEVICE void load_matrices4(u32 (&r)[4], const u16* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
DEVICE int lane_id() { return threadIdx.x & 31; }
DEVICE void load_a(u32 (&a)[4], const u16* tile, int pitch) {
  int lane = lane_id();
  load_matrices4(a, tile + (lane & 15) * pitch + (lane >> 4) * 8);
}
// Two operands B of 16 x 8 each, from 16 columns n of k-contiguous rows.
DEVICE void load_b2(u32 (&b)[4], const u16* tile, int pitch) {
  int lane = lane_id();
  load_matrices4(b, tile + ((lane >> 4) * 8 + (lane & 7)) * pitch + ((lane >> 3) & 1) * 8);
}
// One operand B of 16 x 8 from 16 rows k of n-contiguous rows.
DEVICE void load_b_transposed(u32 (&b)[2], const u16* tile, int pitch) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
               : "=r"(b[0]), "=r"(b[1])
               : "r"(shared_address(tile + (lane_id() & 15) * pitch))
               : "memory");
}
// The same as load_a and load_b2 from tiles that lie the other way: 16 rows k of m-contiguous or n-contiguous elements.
DEVICE void load_matrices4_transposed(u32 (&r)[4], const u16* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
DEVICE void load_a_transposed(u32 (&a)[4], const u16* tile, int pitch) {
  int lane = lane_id();
  load_matrices4_transposed(a, tile + ((lane >> 4) * 8 + (lane & 7)) * pitch + ((lane >> 3) & 1) * 8);
}
DEVICE void load_b2_transposed(u32 (&b)[4], const u16* tile, int pitch) {
  int lane = lane_id();
  load_matrices4_transposed(b, tile + (lane & 15) * pitch + (lane >> 4) * 8);
}
DEVICE void mma_bf16(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
DEVICE void mma_f16(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

#else
#include "../emulator/kernel.h"
#endif

// ---- element types

struct f32 {
  float value;
};
struct bf16 {
  u16 bits;
};
struct f16 {
  u16 bits;
};

DEVICE float to_float(f32 x) { return x.value; }
DEVICE float to_float(bf16 x) { return bf16_to_float(x.bits); }
DEVICE float to_float(f16 x) { return f16_to_float(x.bits); }

template <class T>
DEVICE T from_float(float x);
template <>
DEVICE f32 from_float<f32>(float x) {
  return f32{x};
}
template <>
DEVICE bf16 from_float<bf16>(float x) {
  return bf16{float_to_bf16(x)};
}
template <>
DEVICE f16 from_float<f16>(float x) {
  return f16{float_to_f16(x)};
}

// What the tensor cores need to know of a 16-bit type.
template <class T>
struct Half;
template <>
struct Half<bf16> {
  static constexpr float PLENTY = 1073741824.0f;  // sums of as many have room to spare
  static DEVICE u32 pack(float low, float high) { return pack_bf16(low, high); }
  static DEVICE void mma(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) { mma_bf16(d, a, b0, b1); }
};
template <>
struct Half<f16> {
  static constexpr float PLENTY = 1024.0f;
  static DEVICE u32 pack(float low, float high) { return pack_f16(low, high); }
  static DEVICE void mma(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) { mma_f16(d, a, b0, b1); }
};

// N elements that are loaded and stored at once.
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  T at[N];
};
// What is used again is unpacked again: its floats would need twice the registers meanwhile.
template <class T, int N, int COUNT>
DEVICE void stays_packed(Pack<T, N> (&packs)[COUNT]) {
#if defined(__CUDACC__)
  UNROLL
  for (int i = 0; i < COUNT * N * (int)sizeof(T) / 4; i++) {
    asm volatile("" : "+r"(((u32*)packs)[i]));
  }
#else
  (void)packs;
#endif
}

template <class T>
struct Wide {
  static constexpr int N = 16 / sizeof(T);
  typedef Pack<T, N> Type;
};

#define MINUS_INFINITY (bits_to_float(0xff800000u))  // NVRTC knows no INFINITY

// ---- activations

constexpr int ACTIVATION_NONE = 0;
constexpr int ACTIVATION_SILU = 1;
constexpr int ACTIVATION_GELU = 2;

DEVICE float silu(float x) { return x / (1.0f + fast_exp(-x)); }
DEVICE float gelu(float x) { return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f)); }
DEVICE float activate(float x, int activation) {
  if (activation == ACTIVATION_SILU) {
    return silu(x);
  }
  return activation == ACTIVATION_GELU ? gelu(x) : x;
}
DEVICE float silu_slope(float x) {
  float sigmoid = 1.0f / (1.0f + fast_exp(-x));
  return sigmoid * (1.0f + x * (1.0f - sigmoid));
}
DEVICE float gelu_slope(float x) {
  return 0.5f * (1.0f + erff(x * 0.70710678118654752f)) + x * 0.39894228040143268f * fast_exp(-0.5f * x * x);
}
// The derivative of `activate`.
DEVICE float activation_slope(float x, int activation) {
  if (activation == ACTIVATION_SILU) {
    return silu_slope(x);
  }
  return activation == ACTIVATION_GELU ? gelu_slope(x) : 1.0f;
}

// ---- reductions

DEVICE float warp_sum(float x) {
  UNROLL
  for (int mask = 16; mask > 0; mask >>= 1) {
    x += shfl_xor(x, mask);
  }
  return x;
}
DEVICE float warp_max(float x) {
  UNROLL
  for (int mask = 16; mask > 0; mask >>= 1) {
    x = fmaxf(x, shfl_xor(x, mask));
  }
  return x;
}

DEVICE int round_up(int x, int to) { return (x + to - 1) / to * to; }
DEVICE i64 grid_thread() { return (i64)blockIdx.x * blockDim.x + threadIdx.x; }
DEVICE i64 grid_threads() { return (i64)gridDim.x * blockDim.x; }
