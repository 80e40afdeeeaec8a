package dev.longalign.onnx.tokenizer;

import java.util.ArrayList;
import java.util.List;

/**
 * What a reader takes for one character: extended grapheme clusters of Unicode 16 (UAX #29, GB1 to
 * GB999). Java has them too, but those of its own version of Unicode.
 */
final class GraphemeClusters {
  private static final int JOINER = 0x200d;
  private static final int NON_JOINER = 0x200c;
  private static final char OTHER = '-';

  private static final int[] FIRST;
  private static final int[] LAST;
  private static final char[] CLASS;

  private record Range(int first, int last, char kind) {}

  static {
    List<Range> ranges = new ArrayList<>();
    Resources.ranges(
        "grapheme-breaks.txt", (kind, first, last) -> ranges.add(new Range(first, last, kind)));
    ranges.sort((a, b) -> Integer.compare(a.first, b.first));
    FIRST = ranges.stream().mapToInt(Range::first).toArray();
    LAST = ranges.stream().mapToInt(Range::last).toArray();
    CLASS = new char[FIRST.length];
    for (int i = 0; i < CLASS.length; i++) {
      CLASS[i] = ranges.get(i).kind;
    }
  }

  private GraphemeClusters() {}

  /** Where the cluster that begins at {@code start} ends. */
  static int end(String text, int start) {
    int c = text.codePointAt(start);
    int at = start + Character.charCount(c);
    char before = kind(c);
    boolean emoji = before == 'X'; // a pictograph, then only extending characters
    boolean joined = false; // the same and a joiner
    boolean consonant = before == 'I'; // a consonant, then only what may stand before a virama
    boolean linked = false; // the same and a virama
    int flags = before == 'R' ? 1 : 0; // letters of flags in a row
    while (at < text.length()) {
      c = text.codePointAt(at);
      char kind = kind(c);
      boolean one =
          switch (kind) {
            case 'C', '\r' -> false;
            case '\n' -> before == '\r';
            case 'E', 'Z', 'S' -> !isControl(before);
            case 'I' -> before == 'P' || consonant && linked;
            case 'X' -> before == 'P' || joined;
            case 'R' -> before == 'P' || flags % 2 == 1;
            case 'L', 'A', 'B' -> before == 'P' || before == 'L';
            case 'V' -> before == 'P' || before == 'L' || before == 'A' || before == 'V';
            case 'T' ->
                before == 'P' || before == 'A' || before == 'V' || before == 'B' || before == 'T';
            default -> before == 'P';
          };
      if (!one) {
        return at;
      }
      joined = kind == 'Z' && emoji;
      emoji = kind == 'X' || kind == 'E' && emoji;
      boolean extending = (kind == 'E' || kind == 'Z') && c != NON_JOINER;
      linked = kind != 'I' && extending && (linked || consonant && isVirama(c));
      consonant = kind == 'I' || consonant && extending;
      flags = kind == 'R' ? flags + 1 : 0;
      before = kind;
      at += Character.charCount(c);
    }
    return at;
  }

  private static boolean isControl(char kind) {
    return kind == 'C' || kind == '\r' || kind == '\n';
  }

  private static boolean isVirama(int c) {
    return c == 0x94d || c == 0x9cd || c == 0xacd || c == 0xb4d || c == 0xc4d || c == 0xd4d;
  }

  /** The class as the table names it; A and B are Hangul syllables without and with a last part. */
  private static char kind(int c) {
    if (c < 0x7f) {
      return c >= ' ' ? OTHER : c == '\r' || c == '\n' ? (char) c : 'C';
    } else if (c == JOINER) {
      return 'Z';
    } else if (c >= 0xac00 && c <= 0xd7a3) {
      return (c - 0xac00) % 28 == 0 ? 'A' : 'B';
    } else if (c >= 0x1f1e6 && c <= 0x1f1ff) {
      return 'R';
    }
    int low = 0;
    int high = FIRST.length - 1;
    while (low < high) {
      int middle = (low + high + 1) >>> 1;
      if (FIRST[middle] <= c) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    return FIRST[low] <= c && c <= LAST[low] ? CLASS[low] : OTHER;
  }
}
