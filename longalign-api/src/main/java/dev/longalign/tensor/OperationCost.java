package dev.longalign.tensor;

/**
 * What one kind of operation has cost since its backend was opened.
 *
 * @param calls how often it ran
 * @param seconds wall time
 * @param flops multiplications and additions of matrix products and convolutions; 0 for the others
 */
public record OperationCost(long calls, double seconds, double flops) {
  /** The cost since an earlier reading. */
  public OperationCost since(OperationCost earlier) {
    return earlier == null
        ? this
        : new OperationCost(
            calls - earlier.calls, seconds - earlier.seconds, flops - earlier.flops);
  }
}
