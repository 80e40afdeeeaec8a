package dev.longalign.cli;

import dev.longalign.LongAlignException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;

/** Prompts from a pipe. */
final class StandardInput {
  private StandardInput() {}

  /** The text, or for {@code -} what standard input holds (UTF-8), without blanks around it. */
  static String orText(String text) {
    if (!text.equals("-")) {
      return text;
    }
    try {
      return new String(System.in.readAllBytes(), StandardCharsets.UTF_8).strip();
    } catch (IOException e) {
      throw new LongAlignException("standard input cannot be read: " + e, e);
    }
  }
}
