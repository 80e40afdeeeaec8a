package dev.longalign;

/** Where the first noise of a picture comes from; each gives what torch gives for the same seed. */
public enum Generator {
  /** {@code torch.Generator("cpu")}: Mersenne Twister. The default. */
  TORCH_CPU,
  /**
   * {@code torch.Generator("cuda")}: Philox 4x32-10, as LongAlign's own {@code sample.py} uses it.
   */
  TORCH_CUDA
}
