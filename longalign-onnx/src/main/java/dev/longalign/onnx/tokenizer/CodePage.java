package dev.longalign.onnx.tokenizer;

import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/**
 * A single-byte character set. Bytes are held as the chars 0..255 of a string, so that byte
 * sequences can be searched with regular expressions.
 */
final class CodePage {
  private static final char REPLACEMENT = '\uFFFD';

  private final String name;
  private final boolean sloppy;
  private final char[] decoded = new char[256];
  private final Map<Character, Character> encoded = new HashMap<>();

  /**
   * @param name a name that starts with "sloppy-" reads unassigned bytes as latin-1 and lets byte
   *     1A stand for U+FFFD
   * @param high the characters of bytes 80..FF
   */
  CodePage(String name, String high) {
    this.name = name;
    this.sloppy = name.startsWith("sloppy-");
    for (int i = 0; i < 256; i++) {
      decoded[i] = i < 128 ? (char) i : high.charAt(i - 128);
    }
    if (sloppy) {
      decoded[0x1A] = REPLACEMENT;
    }
    for (int i = 0; i < 256; i++) {
      encoded.put(decoded[i], (char) i);
    }
  }

  String name() {
    return name;
  }

  boolean isSloppy() {
    return sloppy;
  }

  char decode(char value) {
    return decoded[value];
  }

  /** The bytes of {@code text}, or null if a character is not in this code page. */
  String encode(String text) {
    char[] out = new char[text.length()];
    for (int i = 0; i < out.length; i++) {
      char c = text.charAt(i);
      if (c < 128 && decoded[c] == c) {
        out[i] = c;
        continue;
      }
      Character value = encoded.get(c);
      if (value == null) {
        return null;
      }
      out[i] = value;
    }
    return new String(out);
  }

  static byte[] bytes(String latin1) {
    return latin1.getBytes(StandardCharsets.ISO_8859_1);
  }
}
