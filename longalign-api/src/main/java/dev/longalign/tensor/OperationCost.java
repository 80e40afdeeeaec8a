package dev.longalign.tensor;

/**
 * What one kind of operation has cost.
 *
 * @param calls how often it ran
 * @param seconds wall time
 * @param flops multiplications and additions of matrix products and convolutions; 0 for the others
 */
public record OperationCost(long calls, double seconds, double flops) {
  /**
   * Not an operation: what derivatives compute again of their forward pass, which is counted in
   * their own cost too.
   */
  public static final String REPEATED = "repeated by derivatives";

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
