// What GroupNorm and its derivative share.
#pragma once
#include "device.cuh"

// Mean and reciprocal deviation of every group of an image, from the sums of its chunks: partial [chunks][groups][2] as
// groupNormSums leaves it. The caller's barrier ends it.
template <class T>
DEVICE void group_statistics(const T* image, const float* partial, int pixels, int C, int groups, int chunks, float eps,
                             float* mean, float* scale) {
  int perGroup = C / groups;
  for (int g = threadIdx.x; g < groups; g += blockDim.x) {
    float s = 0;
    float q = 0;
    for (int chunk = 0; chunk < chunks; chunk++) {
      const float* in = partial + ((i64)chunk * groups + g) * 2;
      s += in[0];
      q += in[1];
    }
    float count = (float)pixels * (float)perGroup;
    float offset = s / count;
    // max() would hide a NaN
    float variance = q / count - offset * offset;
    mean[g] = to_float(image[g * perGroup]) + offset;
    scale[g] = reciprocal_sqrt((variance < 0 ? 0 : variance) + eps);
  }
}
