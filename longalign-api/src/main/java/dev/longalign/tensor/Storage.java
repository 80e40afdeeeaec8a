package dev.longalign.tensor;

/**
 * The memory behind one or more tensors, owned by a {@link TensorScope}; each backend has its own
 * kind.
 */
public abstract class Storage extends ScopedResource {
  private final long bytes;

  protected Storage(long bytes) {
    this.bytes = bytes;
  }

  /** Size in bytes. */
  public final long bytes() {
    return bytes;
  }
}
