// Kernels that are wrong on purpose, one way each: the emulator has to say so. `right` is the control.
#include "device.cuh"

KERNEL(right, 128, 1, (const float* x, float* y, int n)) {
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
