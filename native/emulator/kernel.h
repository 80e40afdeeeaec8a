// What kernels see in place of CUDA when g++ compiles them for the emulator. Every load and store of a kernel is
// instrumented (-fsanitize=kernel-address, -fsanitize=alignment) and checked in memory.cpp; threads of a block are fibers
// (block.cpp), which wait for each other in barriers, shuffles and matrix products.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

namespace emulator {

struct Index {
  unsigned x, y, z;
};

// The part of a CUDA thread that kernels can see.
struct Thread {
  Index thread;
  const Index* blockIndex;
  const Index* blockSize;
  const Index* gridSize;
  unsigned char* shared;
  bool early;  // the kernels before this one may not be done: device memory is not to be touched
};

extern "C" __attribute__((tls_model("initial-exec"))) thread_local Thread* emulator_thread;

extern "C" {
void emulator_after_kernels_before();
void emulator_barrier(int line);
void emulator_named_barrier(int id, int threads, bool wait, int line);
float emulator_shfl_xor(float value, int mask);
int emulator_shfl_up(int value, int delta);
u32 emulator_ballot(bool predicate);
void emulator_mma(float* d, const u32* a, u32 b0, u32 b1, bool bfloat);
void emulator_copy_async(void* shared, const void* global, bool use);
void emulator_copy_commit();
void emulator_copy_wait(int groups);
}

// What a warpgroup has the tensor cores do meanwhile (hopper.h): multiply(d, a, ofA, ofB).
struct Product {
  void (*multiply)(float* d, const u32* a, u64 ofA, u64 ofB);
  float* d;
  const u32* a;
  u64 ofA;
  u64 ofB;
};
extern "C" {
void emulator_product(const Product* product);
void emulator_products_commit();
void emulator_products_wait(int groups);
}

// What bulk copies know of a tensor of 2-byte elements (hopper.h), as the emulated cuTensorMapEncodeTiled writes it: sizes, the
// innermost first, bytes from one to the next of all but the innermost, and the box that is copied.
struct TensorMap {
  static constexpr int RANK = 4;
  static constexpr u64 MARK = 0x70616d726f736e74;
  u64 mark;
  u64 address;
  u32 sizes[RANK];
  u64 strides[RANK - 1];
  u32 box[RANK];
  u64 unused[7];
};
static_assert(sizeof(TensorMap) == 128, "as CUtensorMap");
extern "C" {
void emulator_mbarrier_make(u32 at);
void emulator_mbarrier_expect(u32 at, int bytes);
void emulator_mbarrier_wait(u32 at, int parity);
void emulator_copy_box(u32 to, const TensorMap* map, const int* at, u32 mbarrier);
}

// How a module describes a kernel to the driver.
struct Entry {
  void (*invoke)(void* function, void** parameters);
  void* function;
  const char* name;
  int maxThreads;
  int parameters;
  const int* sizes;
};

template <class... A>
struct Signature {
  static constexpr int COUNT = sizeof...(A);
  static inline const int SIZES[COUNT + 1] = {(int)sizeof(A)..., 0};
  template <size_t... I>
  static void call(void* function, void** parameters, std::index_sequence<I...>) {
    ((void (*)(A...))function)(*(A*)parameters[I]...);
  }
  static void invoke(void* function, void** parameters) {
    call(function, parameters, std::make_index_sequence<COUNT>());
  }
};

template <class... A>
inline Entry entry(void (*function)(A...), const char* name, int maxThreads) {
  return Entry{Signature<A...>::invoke, (void*)function, name, maxThreads, Signature<A...>::COUNT, Signature<A...>::SIZES};
}

}  // namespace emulator

#define KERNEL(name, threads, blocks, parameters)                                                \
  extern "C" void name parameters;                                                               \
  extern "C" const emulator::Entry* emulator_entry_##name() {                                    \
    static const emulator::Entry entry = emulator::entry(&name, #name, threads);                 \
    return &entry;                                                                               \
  }                                                                                              \
  extern "C" void name parameters
#define DEVICE inline
#define UNROLL
#define ROLLED
#define SHARED_BYTES(name) unsigned char* name = emulator::emulator_thread->shared
#define BARRIER() emulator::emulator_barrier(__LINE__)
#define BARRIER_SYNC(id, threads) emulator::emulator_named_barrier(id, threads, true, __LINE__)
#define BARRIER_ARRIVE(id, threads) emulator::emulator_named_barrier(id, threads, false, __LINE__)

#define threadIdx (emulator::emulator_thread->thread)
#define blockIdx (*emulator::emulator_thread->blockIndex)
#define blockDim (*emulator::emulator_thread->blockSize)
#define gridDim (*emulator::emulator_thread->gridSize)

DEVICE void after_kernels_before() { emulator::emulator_after_kernels_before(); }
DEVICE float shfl_xor(float value, int mask) { return emulator::emulator_shfl_xor(value, mask); }
DEVICE int shfl_up(int value, int delta) { return emulator::emulator_shfl_up(value, delta); }
DEVICE u32 warp_ballot(bool predicate) { return emulator::emulator_ballot(predicate); }
DEVICE int count_bits(u32 bits) { return __builtin_popcount(bits); }
DEVICE float bits_to_float(u32 bits) {
  float x;
  __builtin_memcpy(&x, &bits, 4);
  return x;
}
DEVICE u32 float_to_bits(float x) {
  u32 bits;
  __builtin_memcpy(&bits, &x, 4);
  return bits;
}
DEVICE float fast_exp(float x) { return expf(x); }
DEVICE float fast_exp2(float x) { return exp2f(x); }
DEVICE float reciprocal_sqrt(float x) { return 1.0f / sqrtf(x); }
DEVICE float fast_reciprocal(float x) { return 1.0f / x; }
template <class T>
DEVICE T min(T a, T b) {
  return a < b ? a : b;
}
template <class T>
DEVICE T max(T a, T b) {
  return a > b ? a : b;
}

DEVICE float bf16_to_float(u16 bits) { return bits_to_float((u32)bits << 16); }
DEVICE u16 float_to_bf16(float x) {
  u32 bits = float_to_bits(x);
  if ((bits & 0x7fffffff) > 0x7f800000) {
    return 0x7fff;
  }
  return (u16)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
DEVICE float f16_to_float(u16 bits) {
  _Float16 x;
  __builtin_memcpy(&x, &bits, 2);
  return (float)x;
}
DEVICE u16 float_to_f16(float x) {
  _Float16 half = (_Float16)x;
  u16 bits;
  __builtin_memcpy(&bits, &half, 2);
  return bits;
}
DEVICE u32 pack_bf16(float low, float high) { return float_to_bf16(low) | (u32)float_to_bf16(high) << 16; }
DEVICE u32 pack_f16(float low, float high) { return float_to_f16(low) | (u32)float_to_f16(high) << 16; }

DEVICE void copy_async16(void* shared, const void* global, bool use) {
  emulator::emulator_copy_async(shared, global, use);
}
DEVICE void copy_commit() { emulator::emulator_copy_commit(); }
template <int GROUPS>
DEVICE void copy_wait() {
  emulator::emulator_copy_wait(GROUPS);
}

template <int BYTES>
DEVICE void declare_shared() {}

DEVICE int lane_id() { return threadIdx.x & 31; }
// The warp shares `tile` and `pitch`, so every lane can fetch for itself what ldmatrix would bring it.
DEVICE void load_a(u32 (&a)[4], const u16* tile, int pitch) {
  int lane = lane_id();
  const u16* from = tile + (lane >> 2) * pitch + (lane & 3) * 2;
  a[0] = *(const u32*)from;
  a[1] = *(const u32*)(from + 8 * pitch);
  a[2] = *(const u32*)(from + 8);
  a[3] = *(const u32*)(from + 8 * pitch + 8);
}
DEVICE void load_b2(u32 (&b)[4], const u16* tile, int pitch) {
  int lane = lane_id();
  const u16* from = tile + (lane >> 2) * pitch + (lane & 3) * 2;
  b[0] = *(const u32*)from;
  b[1] = *(const u32*)(from + 8);
  b[2] = *(const u32*)(from + 8 * pitch);
  b[3] = *(const u32*)(from + 8 * pitch + 8);
}
DEVICE void load_b_transposed(u32 (&b)[2], const u16* tile, int pitch) {
  int lane = lane_id();
  const u16* from = tile + (lane & 3) * 2 * pitch + (lane >> 2);
  b[0] = from[0] | (u32)from[pitch] << 16;
  b[1] = from[8 * pitch] | (u32)from[9 * pitch] << 16;
}
DEVICE u32 pair_of_rows(const u16* from, int pitch) { return from[0] | (u32)from[pitch] << 16; }
DEVICE void load_a_transposed(u32 (&a)[4], const u16* tile, int pitch) {
  int lane = lane_id();
  const u16* from = tile + (lane & 3) * 2 * pitch + (lane >> 2);
  a[0] = pair_of_rows(from, pitch);
  a[1] = pair_of_rows(from + 8, pitch);
  a[2] = pair_of_rows(from + 8 * pitch, pitch);
  a[3] = pair_of_rows(from + 8 * pitch + 8, pitch);
}
DEVICE void load_b2_transposed(u32 (&b)[4], const u16* tile, int pitch) {
  int lane = lane_id();
  const u16* from = tile + (lane & 3) * 2 * pitch + (lane >> 2);
  b[0] = pair_of_rows(from, pitch);
  b[1] = pair_of_rows(from + 8 * pitch, pitch);
  b[2] = pair_of_rows(from + 8, pitch);
  b[3] = pair_of_rows(from + 8 * pitch + 8, pitch);
}
DEVICE void mma_bf16(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) { emulator::emulator_mma(d, a, b0, b1, true); }
DEVICE void mma_f16(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) { emulator::emulator_mma(d, a, b0, b1, false); }
