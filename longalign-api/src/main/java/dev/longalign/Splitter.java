package dev.longalign;

/** How a prompt is cut into segments before encoding. */
public enum Splitter {
  /**
   * As the checkpoints were trained: at every {@code . ?} and the pairs {@code "!} and {@code ;"}.
   */
  REFERENCE,
  /** At sentence boundaries, and inside a sentence where it exceeds the encoder's window. */
  SENTENCES
}
