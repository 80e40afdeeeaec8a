// What the norms and their derivatives share.
#pragma once
#include "device.cuh"

// Mean and reciprocal deviation of every group of an image, from the sums of its chunks: partial [chunks][groups][2] as
// groupNormSums leaves it. scratch: [2][max(groups, threads)]. The caller's barrier ends it.
template <class T>
DEVICE void group_statistics(const T* image, const float* partial, int pixels, int C, int groups, int chunks, float eps,
                             float* mean, float* scale, float* scratch) {
  int perGroup = C / groups;
  int parts = max(1, (int)blockDim.x / groups);
  for (int i = threadIdx.x; i < parts * groups; i += blockDim.x) {
    const Pack<float, 2>* in = (const Pack<float, 2>*)partial + i % groups;
    float s = 0;
    float q = 0;
    for (int chunk = i / groups; chunk < chunks; chunk += parts) {
      Pack<float, 2> both = in[chunk * groups];
      s += both.at[0];
      q += both.at[1];
    }
    scratch[i] = s;
    scratch[parts * groups + i] = q;
  }
  BARRIER();
  for (int g = threadIdx.x; g < groups; g += blockDim.x) {
    float s = 0;
    float q = 0;
    for (int i = g; i < parts * groups; i += groups) {
      s += scratch[i];
      q += scratch[parts * groups + i];
    }
    float count = (float)pixels * (float)perGroup;
    float offset = s / count;
    // max() would hide a NaN
    float variance = q / count - offset * offset;
    mean[g] = to_float(image[g * perGroup]) + offset;
    scale[g] = reciprocal_sqrt((variance < 0 ? 0 : variance) + eps);
  }
}

// Mean and reciprocal deviation of one row of C elements, by a warp.
template <class T, int N>
DEVICE void row_statistics(const Pack<T, N>* row, int C, float eps, float& mean, float& scale) {
  int vectors = C / N;
  float sum = 0;
  for (int i = lane_id(); i < vectors; i += 32) {
    Pack<T, N> v = row[i];
    UNROLL
    for (int j = 0; j < N; j++) {
      sum += to_float(v.at[j]);
    }
  }
  mean = warp_sum(sum) / (float)C;
  float square = 0;
  for (int i = lane_id(); i < vectors; i += 32) {
    Pack<T, N> v = row[i];
    UNROLL
    for (int j = 0; j < N; j++) {
      float difference = to_float(v.at[j]) - mean;
      square += difference * difference;
    }
  }
  scale = reciprocal_sqrt(warp_sum(square) / (float)C + eps);
}
