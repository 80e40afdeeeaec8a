package dev.longalign.onnx.tokenizer;

/**
 * A part of a text on its way through a tokenizer.
 *
 * @param leading how many of its first characters came from the very first character of the whole
 *     text: 0 says that it does not begin the text
 */
record Slice(String text, int leading) {

  /** A whole text. */
  static Slice whole(String text) {
    return new Slice(text, text.isEmpty() ? 0 : Character.charCount(text.codePointAt(0)));
  }

  Slice part(int from, int to) {
    return new Slice(text.substring(from, to), Math.max(0, Math.min(to, leading) - from));
  }
}
