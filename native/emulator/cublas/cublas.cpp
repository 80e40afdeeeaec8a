// The calls of cuBLAS that the CUDA backend makes, by a kernel that is launched through the (emulated) driver as the real
// ones are: in the order of the stream, with every access checked.
#include <dlfcn.h>

#include <cstddef>
#include <cstdint>

extern "C" {

int cuModuleLoad(void** module, const char* path);
int cuModuleUnload(void* module);
int cuModuleGetFunction(void** function, void* module, const char* name);
int cuLaunchKernel(void* function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX, unsigned blockY,
                   unsigned blockZ, unsigned shared, void* stream, void** parameters, void** extra);

enum Status { SUCCESS = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, EXECUTION_FAILED = 13, NOT_SUPPORTED = 15 };

struct Handle {
  void* module = nullptr;
  void* gemm = nullptr;
  void* stream = nullptr;
};

int cublasCreate_v2(Handle** handle) {
  Dl_info self;
  if (!dladdr((void*)&cublasCreate_v2, &self)) {
    return NOT_INITIALIZED;
  }
  Handle* made = new Handle();
  if (cuModuleLoad(&made->module, self.dli_fname) ||
      cuModuleGetFunction(&made->gemm, made->module, "emulated_cublas_gemm")) {
    delete made;
    return NOT_INITIALIZED;
  }
  *handle = made;
  return SUCCESS;
}
int cublasDestroy_v2(Handle* handle) {
  cuModuleUnload(handle->module);
  delete handle;
  return SUCCESS;
}
int cublasGetVersion_v2(Handle*, int* version) {
  *version = EMULATED_VERSION;
  return SUCCESS;
}
int cublasSetStream_v2(Handle* handle, void* stream) {
  handle->stream = stream;
  return SUCCESS;
}
int cublasSetWorkspace_v2(Handle*, void* workspace, size_t bytes) {
  return bytes > 0 && (uintptr_t)workspace % 256 ? INVALID_VALUE : SUCCESS;
}
// 16: no sums in less than the computing type; TF32 (3) is not emulated.
int cublasSetMathMode(Handle*, int mode) { return mode == 0 || mode == 16 ? SUCCESS : NOT_SUPPORTED; }

int cublasGemmStridedBatchedEx(Handle* handle, int transA, int transB, int M, int N, int K, const void* alpha,
                               const void* a, int typeA, int lda, long long strideA, const void* b, int typeB, int ldb,
                               long long strideB, const void* beta, void* c, int typeC, int ldc, long long strideC,
                               int batch, int compute, int) {
  bool types = typeA == typeB && (typeA == 0 || typeA == 2 || typeA == 14) && (typeC == 0 || typeC == typeA);
  if (!handle) {
    return NOT_INITIALIZED;
  }
  if (!types || compute != 68 /* 32F */) {
    return NOT_SUPPORTED;
  }
  if (M < 0 || N < 0 || K < 0 || batch < 0 || lda < (transA ? K : M) || ldb < (transB ? N : K) || ldc < M ||
      transA < 0 || transA > 1 || transB < 0 || transB > 1) {
    return INVALID_VALUE;
  }
  if (M == 0 || N == 0 || batch == 0) {
    return SUCCESS;
  }
  float alphaValue = *(const float*)alpha;
  float betaValue = *(const float*)beta;
  long long wideA = lda, wideB = ldb, wideC = ldc;
  void* parameters[] = {&transA, &transB,  &M,     &N,      &K,         &alphaValue, &a,     &typeA, &wideA,
                        &strideA, &b,      &typeB, &wideB,  &strideB,   &betaValue,  &c,     &typeC, &wideC,
                        &strideC};
  unsigned blocks = (unsigned)(((long long)M * N + 255) / 256);
  return cuLaunchKernel(handle->gemm, blocks < 256 ? blocks : 256, (unsigned)batch, 1, 256, 1, 1, 0, handle->stream,
                        parameters, nullptr)
             ? EXECUTION_FAILED
             : SUCCESS;
}
int cublasGemmEx(Handle* handle, int transA, int transB, int M, int N, int K, const void* alpha, const void* a, int typeA,
                 int lda, const void* b, int typeB, int ldb, const void* beta, void* c, int typeC, int ldc, int compute,
                 int algorithm) {
  return cublasGemmStridedBatchedEx(handle, transA, transB, M, N, K, alpha, a, typeA, lda, 0, b, typeB, ldb, 0, beta, c,
                                    typeC, ldc, 0, 1, compute, algorithm);
}
}
