package dev.longalign.random;

/**
 * A reproducible source of standard normal numbers. Implementations agree with one of PyTorch's
 * generators; a source serves one thread at a time.
 */
public interface NoiseSource {

  /**
   * Fills the array with N(0, 1) values: one call agrees with one {@code torch.randn} of that many
   * elements.
   */
  void randn(float[] into);

  /** {@code size} values from N(0, 1), as {@link #randn(float[])}. */
  default float[] randn(int size) {
    float[] values = new float[size];
    randn(values);
    return values;
  }

  /** Starts anew from a seed, as {@code torch.Generator.manual_seed}. */
  void seed(long seed);

  /**
   * Everything that is needed to continue later, in the layout of {@code
   * torch.Generator.get_state()}.
   */
  byte[] getState();

  /**
   * Continues where {@link #getState()} was taken, here or in PyTorch.
   *
   * @throws dev.longalign.LongAlignException if these bytes are not a state of this kind of
   *     generator
   */
  void setState(byte[] state);
}
