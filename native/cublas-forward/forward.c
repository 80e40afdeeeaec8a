// libcublas.so.12 for a machine that has CUDA 13's only: JCublas is linked against CUDA 12's by name and by symbol version.
// It forwards the calls that LongAlign makes, whose signatures and constants CUDA 13 has kept; JCublas binds the others when
// they are called, which they are not.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

static const int NOT_INITIALIZED = 1;

static void* find(const char* name) {
  // Loaded already, by its path; else the loader looks for it.
  static void* library;
  if (!library) {
    library = dlopen("libcublas.so.13", RTLD_LAZY);
  }
  return library ? dlsym(library, name) : NULL;
}

#define FORWARD(name, parameters, arguments)                   \
  int name parameters {                                        \
    static int(*real) parameters;                              \
    if (!real) {                                               \
      real = (int(*) parameters)find(#name);                   \
    }                                                          \
    return real ? real arguments : NOT_INITIALIZED;            \
  }

typedef void* Handle;
typedef const void* In;

FORWARD(cublasCreate_v2, (Handle * handle), (handle))
FORWARD(cublasDestroy_v2, (Handle handle), (handle))
FORWARD(cublasGetVersion_v2, (Handle handle, int* version), (handle, version))
FORWARD(cublasSetStream_v2, (Handle handle, void* stream), (handle, stream))
FORWARD(cublasSetWorkspace_v2, (Handle handle, void* workspace, size_t bytes), (handle, workspace, bytes))
FORWARD(cublasSetMathMode, (Handle handle, int mode), (handle, mode))
FORWARD(cublasGemmEx,
        (Handle handle, int transA, int transB, int m, int n, int k, In alpha, In a, int typeA, int lda, In b, int typeB,
         int ldb, In beta, void* c, int typeC, int ldc, int compute, int algorithm),
        (handle, transA, transB, m, n, k, alpha, a, typeA, lda, b, typeB, ldb, beta, c, typeC, ldc, compute, algorithm))
FORWARD(cublasGemmStridedBatchedEx,
        (Handle handle, int transA, int transB, int m, int n, int k, In alpha, In a, int typeA, int lda,
         long long strideA, In b, int typeB, int ldb, long long strideB, In beta, void* c, int typeC, int ldc,
         long long strideC, int batch, int compute, int algorithm),
        (handle, transA, transB, m, n, k, alpha, a, typeA, lda, strideA, b, typeB, ldb, strideB, beta, c, typeC, ldc,
         strideC, batch, compute, algorithm))
