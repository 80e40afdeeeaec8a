package dev.longalign.autograd;

import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Storage;
import dev.longalign.tensor.Tensor;

/** The memory behind an {@link AutogradBackend}'s tensors: a value, and where it came from. */
final class TapeStorage extends Storage {
  private final Held held;
  private final Tensor value;
  private final Node node;

  /**
   * Holds both from now on; the caller hands its own hold over.
   *
   * @param value what the storage covers, inside {@code held}
   * @param node null if no gradient is wanted
   */
  TapeStorage(Held held, Tensor value, Node node) {
    super(value.shape().size() * value.dtype().bytes());
    this.held = held;
    this.value = value;
    this.node = node;
  }

  static TapeStorage of(Tensor x) {
    return (TapeStorage) x.storage();
  }

  Held held() {
    return held;
  }

  Node node() {
    return node;
  }

  /** Another storage for the same value. */
  TapeStorage with(Node newNode) {
    return new TapeStorage(held.retain(), value, newNode);
  }

  /** The elements from {@code offset} on as a tensor of the wrapped backend. */
  Tensor view(long offset, Shape shape) {
    Backend inner = value.backend();
    return new Tensor(inner, value.storage(), value.offset() + offset, value.dtype(), shape);
  }

  DType dtype() {
    return value.dtype();
  }

  long size() {
    return value.shape().size();
  }

  @Override
  protected void release() {
    held.release();
    if (node != null) {
      node.release();
    }
  }
}
