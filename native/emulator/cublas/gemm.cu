// The one kernel of the emulated cuBLAS: column-major products of any supported types, summed in f32.
#include "device.cuh"

constexpr int CUDA_R_32F = 0;
constexpr int CUDA_R_16BF = 14;

DEVICE float element(const void* x, i64 i, int type) {
  if (type == CUDA_R_32F) {
    return ((const float*)x)[i];
  }
  u16 bits = ((const u16*)x)[i];
  return type == CUDA_R_16BF ? bf16_to_float(bits) : f16_to_float(bits);
}

KERNEL(emulated_cublas_gemm, 256, 1,
       (int transA, int transB, int M, int N, int K, float alpha, const void* a, int typeA, i64 lda, i64 strideA,
        const void* b, int typeB, i64 ldb, i64 strideB, float beta, void* c, int typeC, i64 ldc, i64 strideC)) {
  for (i64 i = grid_thread(); i < (i64)M * N; i += grid_threads()) {
    i64 m = i % M;
    i64 n = i / M;
    float sum = 0;
    for (i64 k = 0; k < K; k++) {
      sum += element(a, blockIdx.y * strideA + (transA ? k + m * lda : m + k * lda), typeA) *
             element(b, blockIdx.y * strideB + (transB ? n + k * ldb : k + n * ldb), typeB);
    }
    i64 at = blockIdx.y * strideC + m + n * ldc;
    sum *= alpha;
    if (beta != 0) {
      sum += beta * element(c, at, typeC);
    }
    if (typeC == CUDA_R_32F) {
      ((float*)c)[at] = sum;
    } else {
      ((u16*)c)[at] = typeC == CUDA_R_16BF ? float_to_bf16(sum) : float_to_f16(sum);
    }
  }
}
