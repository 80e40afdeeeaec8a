package dev.longalign.tensor;

/**
 * What one kind of operation has cost.
 *
 * @param calls how often it ran
 * @param seconds wall time
 * @param flops multiplications and additions of matrix products and convolutions; 0 for the others
 */
public record OperationCost(long calls, double seconds, double flops) {
  public OperationCost plus(OperationCost other) {
    return new OperationCost(calls + other.calls, seconds + other.seconds, flops + other.flops);
  }

  /** What came since an earlier reading, which may be null. */
  public OperationCost since(OperationCost earlier) {
    return earlier == null
        ? this
        : new OperationCost(
            calls - earlier.calls, seconds - earlier.seconds, flops - earlier.flops);
  }
}
