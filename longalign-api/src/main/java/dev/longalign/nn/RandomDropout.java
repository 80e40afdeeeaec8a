package dev.longalign.nn;

import dev.longalign.autograd.Replayable;
import dev.longalign.tensor.Dropout;
import dev.longalign.tensor.Tensor;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Dropout whose masks follow from a seed and a count of the masks so far, so that a run can be
 * resumed, and a checkpointed block repeated, from that count. Register it with {@code
 * AutogradBackend.replay}.
 */
public final class RandomDropout implements LayerDropout, Replayable {
  private static final long OFF = -1;

  private final float p;
  private final long seed;
  private final AtomicLong next = new AtomicLong();
  private boolean off;

  /**
   * @param p the probability of a zero, 0 <= p < 1
   */
  public RandomDropout(float p, long seed) {
    this.p = p;
    this.seed = seed;
  }

  @Override
  public Tensor apply(String layer, Tensor x) {
    return off ? x : x.dropout(p, Dropout.key(seed, next.getAndIncrement()));
  }

  /** Until it is closed, nothing is dropped: for validation pictures. */
  public Off off() {
    boolean before = off;
    off = true;
    return () -> off = before;
  }

  /** Ends {@link #off()}. */
  @FunctionalInterface
  public interface Off extends AutoCloseable {
    @Override
    void close();
  }

  /** The number of masks so far, or -1 while off. */
  @Override
  public long state() {
    return off ? OFF : next.get();
  }

  @Override
  public void restore(long state) {
    off = state == OFF;
    if (!off) {
      next.set(state);
    }
  }
}
