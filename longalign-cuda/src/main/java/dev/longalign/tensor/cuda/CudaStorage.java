package dev.longalign.tensor.cuda;

import dev.longalign.tensor.Storage;

/** Device memory behind tensors. */
final class CudaStorage extends Storage {
  private final CudaMemory memory;
  private final long address;

  CudaStorage(CudaMemory memory, long address, long bytes) {
    super(bytes);
    this.memory = memory;
    this.address = address;
  }

  long address() {
    return address;
  }

  @Override
  protected void release() {
    memory.free(address);
  }
}
