package dev.longalign.text;

/** A frozen text encoder (CLIP's text tower, T5's encoder). Thread-safe. */
public interface TextEncoder extends AutoCloseable {

  /** Width of a hidden state. */
  int width();

  /** Rows of its token embedding: it reads ids below. */
  int vocabSize();

  /** The longest sequence it can read. */
  int maxLength();

  /**
   * Last hidden states (after the final norm), without attention mask, so that padding takes part
   * as it does in the reference.
   *
   * @param ids [sequences][length], a rectangle
   */
  HiddenStates encode(int[][] ids);

  @Override
  void close();
}
