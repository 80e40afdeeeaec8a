package dev.longalign.onnx.tokenizer;

import java.util.BitSet;
import java.util.List;
import java.util.function.Consumer;

/**
 * CLIP's word pattern: {@code
 * <|startoftext|>|<|endoftext|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+}. Written
 * out, because the newest letters and numbers make a slow regular expression.
 */
enum ClipWords {
  /** The original's: blind to case, by the newest Unicode. */
  SLOW,
  /** The fast tokenizer's: without the marks, as written, by Unicode 16. */
  FAST,
  /** The same with the marks, which the byte level that follows cuts in three. */
  FAST_WITH_MARKS;

  private static final List<String> MARKS = List.of(ClipVocabulary.START, ClipVocabulary.END);
  private static final List<String> ENDINGS = List.of("'s", "'t", "'re", "'ve", "'m", "'ll", "'d");

  /** Those of Unicode versions after Java 17's. */
  private static final BitSet NEWER_LETTERS = Resources.characters(Resources.NEWER, 'L');

  private static final BitSet NEWER_NUMBERS = Resources.characters(Resources.NEWER, 'N');

  /** Of these, what Unicode 16 does not know yet. */
  private static final BitSet NEWEST = Resources.characters(Resources.NEWER, 'X');

  private enum Kind {
    LETTER,
    NUMBER,
    OTHER,
    NONE
  }

  /** Calls {@code action} with every word, in order. */
  void forEach(String text, Consumer<String> action) {
    for (int start = 0; start < text.length(); ) {
      int end = start + wholeLength(text, start);
      if (this == FAST_WITH_MARKS && end > start && text.charAt(start) == '<') {
        action.accept(text.substring(start, start + 2));
        action.accept(text.substring(start + 2, end - 2));
        action.accept(text.substring(end - 2, end));
        start = end;
        continue;
      }
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

  private int wholeLength(String text, int start) {
    char first = text.charAt(start);
    List<String> candidates =
        first == '\'' ? ENDINGS : first == '<' && this != FAST ? MARKS : List.of();
    for (String word : candidates) {
      if (text.regionMatches(this == SLOW, start, word, 0, word.length())) {
        return word.length();
      }
    }
    return 0;
  }

  private Kind kind(int c) {
    if (c >= 'a' && c <= 'z') {
      return Kind.LETTER;
    }
    // Python's case-blind matching takes the combining iota for a letter and for none at once.
    if (PythonText.isSpace(c) || c == 0x345 && this == SLOW) {
      return Kind.NONE;
    }
    if (this != SLOW && NEWEST.get(c)) {
      return Kind.OTHER;
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
