package dev.longalign.tensor.cuda;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;

/** What the operations share. */
record CudaContext(
    Backend backend, CudaDevice device, CudaMemory memory, Kernels kernels, OperationLog log) {
  /** The access width that kernels call wide, in bytes. */
  private static final int WIDE = 16;

  /** A new tensor of the current scope, uninitialised. */
  Tensor allocate(DType dtype, Shape shape) {
    TensorScope scope = TensorScope.current(); // complain before anything is taken
    long bytes = Math.multiplyExact(shape.size(), (long) dtype.bytes());
    long address =
        memory.allocate(
            bytes,
            CudaMemory.Kind.TENSORS,
            () -> "the " + dtype + " " + shape + " of " + log.running());
    CudaStorage storage = new CudaStorage(memory, address, bytes);
    return new Tensor(backend, scope.adopt(storage), 0, dtype, shape);
  }

  Tensor allocateLike(Tensor x) {
    return allocate(x.dtype(), x.shape());
  }

  /** Where the tensor's first element lies. */
  long address(Tensor x) {
    if (x.backend() != backend) {
      throw new LongAlignException(
          x + " belongs to " + x.backend().name() + ", not to " + backend.name());
    }
    return ((CudaStorage) x.storage()).address() + x.offset() * x.dtype().bytes();
  }

  Launch launch(String kernel) {
    return kernels.launch(kernel);
  }

  /** The part of a kernel's name that tells its type. */
  static String suffix(DType dtype) {
    return switch (dtype) {
      case F32 -> "_f32";
      case BF16 -> "_bf16";
      case F16 -> "_f16";
      default ->
          throw new LongAlignException(
              "cuda does not compute in " + dtype + "; cast to F32, BF16 or F16 first");
    };
  }

  /** For kernels that only move elements. */
  static String moveSuffix(DType dtype) {
    return switch (dtype.bytes()) {
      case 2 -> "_b16";
      case 4 -> "_b32";
      default ->
          throw new LongAlignException(
              "cuda does not move " + dtype + "; cast to F32, BF16 or F16 first");
    };
  }

  /** Threads that process the tensor 16 bytes at a time. */
  static long items(Tensor x) {
    return (x.shape().size() * x.dtype().bytes() + WIDE - 1) / WIDE;
  }

  /**
   * Whether runs of {@code length} elements, starting at these addresses, can be read 16 bytes at a
   * time.
   */
  static boolean wide(DType dtype, long length, long... addresses) {
    boolean aligned = length * dtype.bytes() % WIDE == 0;
    for (long address : addresses) {
      aligned &= address % WIDE == 0;
    }
    return aligned;
  }

  /** Whether the addresses allow 16 bytes at a time, whatever the length. */
  static boolean aligned(long... addresses) {
    return wide(DType.F32, 0, addresses);
  }
}
