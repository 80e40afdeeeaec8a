package dev.longalign.autograd;

import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Memory of the wrapped backend, freed with its last holder: the tensors of a scope, and the nodes
 * whose derivative needs the value.
 */
final class Held {
  private final Tensor tensor;
  private final TensorScope owner = TensorScope.detached();
  private final AtomicInteger holders = new AtomicInteger(1);

  private Held(Tensor tensor) {
    this.tensor = tensor;
    owner.adopt(tensor);
  }

  /** Takes over the memory of a tensor of the wrapped backend; the caller is the first holder. */
  static Held of(Tensor tensor) {
    return new Held(tensor);
  }

  Tensor tensor() {
    return tensor;
  }

  Held retain() {
    holders.incrementAndGet();
    return this;
  }

  void release() {
    if (holders.decrementAndGet() == 0) {
      owner.close();
    }
  }

  /** Whether there is one holder only, who may then change the values. */
  boolean isExclusive() {
    return holders.get() == 1;
  }
}
