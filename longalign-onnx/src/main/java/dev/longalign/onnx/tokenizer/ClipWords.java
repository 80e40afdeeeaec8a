package dev.longalign.onnx.tokenizer;

import java.util.BitSet;
import java.util.List;
import java.util.function.Consumer;

/**
 * CLIP's word pattern: {@code
 * <|startoftext|>|<|endoftext|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+}, blind
 * to case. Written out, because the newest letters and numbers make a slow regular expression.
 */
final class ClipWords {
  private static final List<String> WHOLE =
      List.of(
          ClipVocabulary.START, ClipVocabulary.END, "'s", "'t", "'re", "'ve", "'m", "'ll", "'d");

  /** Those of Unicode versions after Java 17's. */
  private static final BitSet NEWER_LETTERS = new BitSet();

  private static final BitSet NEWER_NUMBERS = new BitSet();

  static {
    for (String line : Resources.lines("newer-letters-and-numbers.txt")) {
      String[] ends = line.substring(2).split("-");
      (line.charAt(0) == 'L' ? NEWER_LETTERS : NEWER_NUMBERS)
          .set(Integer.parseInt(ends[0], 16), Integer.parseInt(ends[ends.length - 1], 16) + 1);
    }
  }

  private enum Kind {
    LETTER,
    NUMBER,
    OTHER,
    NONE
  }

  private ClipWords() {}

  /** Calls {@code action} with every word, in order. */
  static void forEach(String text, Consumer<String> action) {
    for (int start = 0; start < text.length(); ) {
      int end = start + wholeLength(text, start);
      if (end == start) {
        int c = text.codePointAt(start);
        Kind kind = kind(c);
        end += Character.charCount(c);
        while ((kind == Kind.LETTER || kind == Kind.OTHER) && end < text.length()) {
          c = text.codePointAt(end);
          if (kind(c) != kind) {
            break;
          }
          end += Character.charCount(c);
        }
        if (kind == Kind.NONE) {
          start = end;
          continue;
        }
      }
      action.accept(text.substring(start, end));
      start = end;
    }
  }

  private static int wholeLength(String text, int start) {
    char first = text.charAt(start);
    if (first == '\'' || first == '<') {
      for (String word : WHOLE) {
        if (text.regionMatches(true, start, word, 0, word.length())) {
          return word.length();
        }
      }
    }
    return 0;
  }

  private static Kind kind(int c) {
    if (c >= 'a' && c <= 'z') {
      return Kind.LETTER;
    }
    if (PythonText.isSpace(c) || c == 0x345) {
      return Kind
          .NONE; // Python's case-blind matching takes the combining iota for a letter and for none
      // at once
    }
    if (Character.isLetter(c) || NEWER_LETTERS.get(c)) {
      return Kind.LETTER;
    }
    return switch (Character.getType(c)) {
      case Character.DECIMAL_DIGIT_NUMBER, Character.LETTER_NUMBER, Character.OTHER_NUMBER ->
          Kind.NUMBER;
      default -> NEWER_NUMBERS.get(c) ? Kind.NUMBER : Kind.OTHER;
    };
  }
}
