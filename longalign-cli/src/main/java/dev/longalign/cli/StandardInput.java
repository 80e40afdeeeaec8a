package dev.longalign.cli;

import dev.longalign.io.TextFile;

/** Prompts from a pipe. */
final class StandardInput {
  private StandardInput() {}

  /** The text, or for {@code -} what standard input holds (UTF-8), without blanks around it. */
  static String orText(String text) {
    if (!text.equals("-")) {
      return text;
    }
    return TextFile.read(System.in, "standard input").strip();
  }
}
