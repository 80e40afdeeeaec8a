package dev.longalign.onnx.tokenizer;

import java.util.regex.Pattern;

/** String operations that CLIP's tokenizer takes from Python, where Java's differ. */
final class PythonText {
  /** Unicode's White_Space. */
  private static final String SPACE =
      "\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";

  private static final Pattern SPACES = Pattern.compile("[" + SPACE + "]++");
  private static final Pattern SPACES_BEFORE = Pattern.compile("^[" + SPACE + "\\x1c-\\x1f]++");
  private static final Pattern SPACES_AFTER =
      Pattern.compile("(?<![" + SPACE + "\\x1c-\\x1f])[" + SPACE + "\\x1c-\\x1f]++\\z");
  private static final char SIGMA = '\u03a3';

  private PythonText() {}

  /** Whether it is Unicode's White_Space. */
  static boolean isSpace(int c) {
    return (c >= '\t' && c <= '\r')
        || c == ' '
        || c == 0x85
        || c == 0xa0
        || c == 0x1680
        || (c >= 0x2000 && c <= 0x200a)
        || c == 0x2028
        || c == 0x2029
        || c == 0x202f
        || c == 0x205f
        || c == 0x3000;
  }

  /** Runs of white space become one blank. */
  static String blanks(String text) {
    return SPACES.matcher(text).replaceAll(" ");
  }

  /** Runs of white space become one blank; none at the ends. */
  static String collapseSpaces(String text) {
    String collapsed = blanks(text);
    int start = collapsed.startsWith(" ") ? 1 : 0;
    int end =
        collapsed.length() > start && collapsed.endsWith(" ")
            ? collapsed.length() - 1
            : collapsed.length();
    return collapsed.substring(start, end);
  }

  /**
   * {@code str.lstrip()} and {@code str.rstrip()}, which unlike Java's know every kind of blank.
   */
  static String strip(String text, boolean left, boolean right) {
    String stripped = left ? SPACES_BEFORE.matcher(text).replaceFirst("") : text;
    return right ? SPACES_AFTER.matcher(stripped).replaceFirst("") : stripped;
  }

  /**
   * {@code str.lower()}: a capital sigma at the end of a word becomes a final sigma, by Unicode's
   * Final_Sigma condition over the whole text (Java asks its word iterator, which ends words
   * elsewhere). Character by character otherwise, with the pairs of Unicode 14 that Java 17 does
   * not know.
   */
  static String lower(String text) {
    StringBuilder out = new StringBuilder(text.length() + 8);
    for (int i = 0; i < text.length(); ) {
      int c = text.codePointAt(i);
      int width = Character.charCount(c);
      if (c < 0x80) {
        out.append((char) (c >= 'A' && c <= 'Z' ? c + 32 : c));
      } else if (c == SIGMA) {
        out.append(endsWord(text, i) ? '\u03c2' : '\u03c3');
      } else if (c == 0x130) {
        out.append("i\u0307"); // the one letter whose lower case has two code points
      } else {
        out.appendCodePoint(lower(c));
      }
      i += width;
    }
    return out.toString();
  }

  /** Rust's {@code char::to_lowercase}, letter by letter, by Unicode 17. */
  static String lowerLetters(String text) {
    StringBuilder out = new StringBuilder(text.length() + 8);
    text.codePoints()
        .forEach(
            c -> {
              if (c == 0x130) {
                out.append("i\u0307");
              } else {
                out.appendCodePoint(lowerNewest(c));
              }
            });
    return out.toString();
  }

  private static int lowerNewest(int c) {
    if (c >= 0x10d50 && c <= 0x10d65) {
      return c + 0x20; // Garay
    } else if (c >= 0x16ea0 && c <= 0x16eb8) {
      return c + 0x1b; // Beria Erfe
    }
    return switch (c) {
      case 0x1c89, 0xa7cc, 0xa7ce, 0xa7d2, 0xa7d4, 0xa7da -> c + 1;
      case 0xa7cb -> 0x264;
      case 0xa7dc -> 0x19b;
      default -> lower(c);
    };
  }

  private static int lower(int c) {
    int lower = Character.toLowerCase(c);
    if (lower != c) {
      return lower;
    }
    if (c >= 0x10570 && c <= 0x10595 && c != 0x1057b && c != 0x1058b && c != 0x10593) {
      return c + 0x27; // Vithkuqi
    }
    return switch (c) {
      case 0x2c2f -> 0x2c5f;
      case 0xa7c0, 0xa7d0, 0xa7d6, 0xa7d8 -> c + 1;
      default -> c;
    };
  }

  private static boolean endsWord(String text, int sigma) {
    int c;
    int before = sigma;
    do {
      if (before == 0) {
        return false;
      }
      c = text.codePointBefore(before);
      before -= Character.charCount(c);
    } while (isCaseIgnorable(c));
    if (!isCased(c)) {
      return false;
    }
    for (int after = sigma + 1; after < text.length(); after += Character.charCount(c)) {
      c = text.codePointAt(after);
      if (!isCaseIgnorable(c)) {
        return !isCased(c);
      }
    }
    return true;
  }

  private static boolean isCased(int c) {
    return Character.isLowerCase(c) || Character.isUpperCase(c) || Character.isTitleCase(c);
  }

  /**
   * Unicode's Case_Ignorable: marks, formats, modifiers, and the punctuation that may stand inside
   * a word.
   */
  private static boolean isCaseIgnorable(int c) {
    return switch (Character.getType(c)) {
      case Character.NON_SPACING_MARK,
          Character.ENCLOSING_MARK,
          Character.FORMAT,
          Character.MODIFIER_LETTER,
          Character.MODIFIER_SYMBOL ->
          true;
      default ->
          "'.:\u00b7\u0387\u055f\u05f4\u2018\u2019\u2024\u2027\ufe13\ufe52\ufe55\uff07\uff0e\uff1a"
                  .indexOf(c)
              >= 0;
    };
  }
}
