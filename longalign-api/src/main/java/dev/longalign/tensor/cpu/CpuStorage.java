package dev.longalign.tensor.cpu;

import dev.longalign.tensor.Storage;

/** A block of {@link CpuMemory}. */
final class CpuStorage extends Storage {
  private final CpuMemory memory;
  private final long address;

  CpuStorage(CpuMemory memory, long bytes) {
    super(bytes);
    this.memory = memory;
    this.address = memory.allocate(bytes);
  }

  long address() {
    return address;
  }

  @Override
  protected void release() {
    memory.free(address);
  }
}
