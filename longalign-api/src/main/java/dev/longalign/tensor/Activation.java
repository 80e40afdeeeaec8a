package dev.longalign.tensor;

/** Pointwise non-linearities that backends fuse into the operation before them. */
public enum Activation {
  NONE,
  /** {@code x * sigmoid(x)}, called SiLU or swish. */
  SILU,
  /** {@code x * Phi(x)}, the exact (erf) GELU. */
  GELU
}
