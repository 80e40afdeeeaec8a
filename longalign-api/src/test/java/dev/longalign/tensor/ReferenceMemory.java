package dev.longalign.tensor;

import java.util.concurrent.atomic.AtomicLong;

/** The reference backend's elements, and the count of what is live. */
final class ReferenceMemory extends Storage {
  final float[] data;
  private final Counter counter;

  ReferenceMemory(Counter counter, int size, DType dtype) {
    super((long) size * dtype.bytes());
    this.counter = counter;
    data = new float[size];
    counter.add(bytes());
  }

  @Override
  protected void release() {
    counter.add(-bytes());
  }

  /** Bytes that are live, and the most there ever were. */
  static final class Counter {
    private final AtomicLong live = new AtomicLong();
    private final AtomicLong peak = new AtomicLong();

    void add(long bytes) {
      peak.accumulateAndGet(live.addAndGet(bytes), Math::max);
    }

    void resetPeak() {
      peak.set(live.get());
    }

    MemoryUse use() {
      return new MemoryUse(live.get(), peak.get(), 0);
    }
  }
}
