// Kernels that are wrong on purpose, one way each: the emulator has to say so. `right` is the control.
#include "hopper.cuh"

KERNEL(right, 128, 1, (const float* x, float* y, int n)) {
  after_kernels_before();
  SHARED_BYTES(shared);
  float* copy = (float*)shared;
  int i = threadIdx.x;
  copy[i] = i < n ? x[i] : 0.0f;
  BARRIER();
  float other = copy[blockDim.x - 1 - i];
  BARRIER();
  if (i < n) {
    y[i] = other + warp_sum(1.0f);
  }
}

// Right, but for a launch beside the kernels before it: there is no after_kernels_before.
KERNEL(waits_too_late, 128, 1, (float* y)) {
  y[threadIdx.x] = 1;
  after_kernels_before();
}
KERNEL(does_nothing, 128, 1, (float*)) {}

KERNEL(reads_beyond, 128, 1, (const float* x, float* y, int n)) { y[threadIdx.x] = x[n + threadIdx.x]; }
KERNEL(writes_beyond, 128, 1, (const float* x, float* y, int n)) { y[n + threadIdx.x] = x[threadIdx.x]; }
KERNEL(reads_before, 128, 1, (const float* x, float* y, int)) { y[threadIdx.x] = x[(int)threadIdx.x - 1]; }
KERNEL(reads_null, 128, 1, (const float*, float* y, int)) {
  const float* nothing = blockIdx.x == 0 ? nullptr : y;
  y[threadIdx.x] = nothing[threadIdx.x];
}
KERNEL(reads_uninitialised, 128, 1, (const float*, float* y, int)) { y[threadIdx.x] += 1; }

KERNEL(reads_shared_beyond, 128, 1, (const float* x, float* y, int n)) {
  SHARED_BYTES(shared);
  float* copy = (float*)shared;
  copy[threadIdx.x] = x[threadIdx.x];
  BARRIER();
  y[threadIdx.x] = copy[threadIdx.x + n];
}
KERNEL(forgets_barrier, 128, 1, (const float* x, float* y, int)) {
  SHARED_BYTES(shared);
  float* copy = (float*)shared;
  copy[threadIdx.x] = x[threadIdx.x];
  y[threadIdx.x] = copy[blockDim.x - 1 - threadIdx.x];
}
KERNEL(forgets_copy_wait, 128, 1, (const float* x, float* y, int)) {
  SHARED_BYTES(shared);
  float* copy = (float*)shared;
  if (threadIdx.x < 32) {
    copy_async16(copy + 4 * threadIdx.x, x + 4 * threadIdx.x, true);
    copy_commit();
  }
  BARRIER();
  y[threadIdx.x] = copy[threadIdx.x];
}

KERNEL(returns_before_barrier, 128, 1, (const float* x, float* y, int)) {
  if (threadIdx.x >= 64) {
    return;
  }
  BARRIER();
  y[threadIdx.x] = x[threadIdx.x];
}
KERNEL(different_barriers, 128, 1, (const float* x, float* y, int)) {
  if (threadIdx.x < 64) {
    BARRIER();
    y[threadIdx.x] = x[threadIdx.x];
  } else {
    BARRIER();
    y[threadIdx.x] = -x[threadIdx.x];
  }
}
KERNEL(shuffles_in_part_of_a_warp, 128, 1, (const float* x, float* y, int)) {
  float value = x[threadIdx.x];
  if (threadIdx.x % 32 < 16) {
    value = shfl_xor(value, 1);
  }
  y[threadIdx.x] = value;
}
KERNEL(misaligned, 128, 1, (const float* x, float* y, int)) {
  typedef Pack<float, 4> Four;
  Four four = *(const Four*)(x + 1);
  y[threadIdx.x] = four.at[threadIdx.x % 4];
}
KERNEL(misaligned_copy, 128, 1, (const float* x, float* y, int)) {
  SHARED_BYTES(shared);
  float* copy = (float*)shared;
  copy_async16(copy + 4 * threadIdx.x, x + 1, true);
  copy_commit();
  copy_wait<0>();
  y[threadIdx.x] = copy[4 * threadIdx.x];
}

KERNEL(waits_for_nobody, 128, 1, (const float* x, float* y, int)) {
  if (threadIdx.x < 64) {
    BARRIER_SYNC(1, 128);
  }
  y[threadIdx.x] = x[threadIdx.x];
}
KERNEL(arrives_in_vain, 128, 1, (const float* x, float* y, int)) {
  if (threadIdx.x < 64) {
    BARRIER_ARRIVE(2, 128);
  }
  y[threadIdx.x] = x[threadIdx.x];
}
KERNEL(counts_differently, 128, 1, (const float* x, float* y, int)) {
  BARRIER_ARRIVE(3, threadIdx.x < 64 ? 96 : 128);
  y[threadIdx.x] = x[threadIdx.x];
}
KERNEL(barrier_of_half_a_warp, 128, 1, (const float* x, float* y, int)) {
  BARRIER_SYNC(1, 48);
  y[threadIdx.x] = x[threadIdx.x];
}
// Copies have arrived for this thread, not for those that it lets go on.
KERNEL(arrives_before_its_copies, 128, 1, (const float* x, float* y, int)) {
  SHARED_BYTES(shared);
  float* copy = (float*)shared;
  if (threadIdx.x >= 64) {
    BARRIER_SYNC(1, 128);
    y[threadIdx.x] = copy[127 - threadIdx.x];
    return;
  }
  if (threadIdx.x < 32) {
    copy_async16(copy + 4 * threadIdx.x, x + 4 * threadIdx.x, true);
    copy_commit();
  }
  BARRIER_ARRIVE(1, 128);
  copy_wait<0>();
  y[threadIdx.x] = x[threadIdx.x];
}

// A warpgroup's product of zeros, and what may not be done before it is waited for.
DEVICE void multiply_zeros(unsigned char* shared, float (&d)[5][4], u32 (&a)[4]) {
  for (int i = 0; i < 2 * BLOCK_BYTES / 4 / 128; i++) {
    ((u32*)shared)[i * 128 + threadIdx.x] = 0;
  }
  for (u32& pair : a) {
    pair = 0;
  }
  BARRIER();
  products_begin();
  Wgmma<bf16, 40, 1>::set(d, a, operand(shared));
  products_commit();
}
KERNEL(forgets_products, 128, 1, (const float*, float* y, int)) {
  SHARED_BLOCKS(shared);
  u32 a[4];
  float d[5][4];
  multiply_zeros(shared, d, a);
  y[threadIdx.x] = 0;
}
KERNEL(overwrites_operand, 128, 1, (const float* x, float* y, int)) {
  SHARED_BLOCKS(shared);
  u32 a[4];
  float d[5][4];
  multiply_zeros(shared, d, a);
  if (threadIdx.x < 32) {
    copy_async16(shared + 16 * threadIdx.x, x + 4 * threadIdx.x, true);
    copy_commit();
  }
  products_wait<0>();
  copy_wait<0>();
  y[threadIdx.x] = d[0][0];
}

// Bulk copies of one box of 8 rows, and what may go wrong with them. `copies_a_box` is the control.
struct Arrival {
  u32 to;
  u32 mbarrier;
};
DEVICE Arrival make_arrival(unsigned char* shared) {
  u32 mbarrier = kept_address(shared + 2 * BLOCK_BYTES);
  if (threadIdx.x == 0) {
    mbarrier_make(mbarrier);
    seen_by_copies_and_products();
  }
  BARRIER();
  return Arrival{kept_address(shared), mbarrier};
}
DEVICE float first_of(const unsigned char* shared) { return to_float(*(const bf16*)(shared + threadIdx.x % 8 * ROW_BYTES)); }

KERNEL(copies_a_box, 128, 1, (TENSOR_MAP x, float* y, int row)) {
  SHARED_BLOCKS(shared);
  Arrival arrival = make_arrival(shared);
  if (threadIdx.x == 0) {
    mbarrier_expect(arrival.mbarrier, BLOCK_BYTES);
    copy_box(arrival.to, x, 0, 0, row, 0, arrival.mbarrier);
  }
  mbarrier_wait(arrival.mbarrier, 0);
  int i = threadIdx.x % 8;
  y[threadIdx.x] = to_float(((const bf16*)(shared + swizzled(i, threadIdx.x / 8 % 8)))[1]);
}
KERNEL(forgets_the_arrival, 128, 1, (TENSOR_MAP x, float* y, int)) {
  SHARED_BLOCKS(shared);
  Arrival arrival = make_arrival(shared);
  if (threadIdx.x == 0) {
    mbarrier_expect(arrival.mbarrier, BLOCK_BYTES);
    copy_box(arrival.to, x, 0, 0, 0, 0, arrival.mbarrier);
  }
  BARRIER();
  y[threadIdx.x] = first_of(shared);
  mbarrier_wait(arrival.mbarrier, 0);
}
KERNEL(copies_over_what_is_read, 128, 1, (TENSOR_MAP x, float* y, int)) {
  SHARED_BLOCKS(shared);
  Arrival arrival = make_arrival(shared);
  u32 a[4];
  float d[5][4];
  multiply_zeros(shared, d, a);
  BARRIER();
  if (threadIdx.x == 0) {
    mbarrier_expect(arrival.mbarrier, BLOCK_BYTES);
    copy_box(arrival.to, x, 0, 0, 0, 0, arrival.mbarrier);
  }
  products_wait<0>();
  mbarrier_wait(arrival.mbarrier, 0);
  y[threadIdx.x] = d[0][0];
}
KERNEL(expects_too_much, 128, 1, (TENSOR_MAP x, float* y, int)) {
  SHARED_BLOCKS(shared);
  Arrival arrival = make_arrival(shared);
  if (threadIdx.x == 0) {
    mbarrier_expect(arrival.mbarrier, 2 * BLOCK_BYTES);
    copy_box(arrival.to, x, 0, 0, 0, 0, arrival.mbarrier);
  }
  mbarrier_wait(arrival.mbarrier, 0);
  y[threadIdx.x] = first_of(shared);
}
KERNEL(copies_unasked, 128, 1, (TENSOR_MAP x, float* y, int)) {
  SHARED_BLOCKS(shared);
  Arrival arrival = make_arrival(shared);
  if (threadIdx.x == 0) {
    copy_box(arrival.to, x, 0, 0, 0, 0, arrival.mbarrier);
  }
  y[threadIdx.x] = 0;
}
KERNEL(waits_before_it_is_made, 128, 1, (TENSOR_MAP, float* y, int)) {
  SHARED_BLOCKS(shared);
  if (threadIdx.x == 64) {
    mbarrier_make(kept_address(shared));
  }
  mbarrier_wait(kept_address(shared), 1);
  y[threadIdx.x] = 0;
}
KERNEL(copies_to_an_odd_place, 128, 1, (TENSOR_MAP x, float* y, int)) {
  SHARED_BLOCKS(shared);
  Arrival arrival = make_arrival(shared);
  if (threadIdx.x == 0) {
    mbarrier_expect(arrival.mbarrier, BLOCK_BYTES);
    copy_box(arrival.to + 64, x, 0, 0, 0, 0, arrival.mbarrier);
  }
  y[threadIdx.x] = 0;
}
