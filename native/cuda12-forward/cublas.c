// libcublas.so.12 over CUDA 13's cuBLAS.
#define LIBRARY "libcublas.so.13"
#define MISSING 1  // CUBLAS_STATUS_NOT_INITIALIZED
#include "forward.h"

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
