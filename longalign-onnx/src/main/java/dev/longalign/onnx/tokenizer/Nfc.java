package dev.longalign.onnx.tokenizer;

import java.text.Normalizer;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;

/**
 * Unicode's composed form (UAX #15), in time that grows with the text alone: Java's puts each mark
 * to its place one by one, so that a letter under 100,000 marks takes a minute. Long runs of marks
 * are sorted before.
 */
final class Nfc {
  private static final int LONG_RUN = 256;

  /** What was no mark and composed with nothing when tokenizers' tables were made. */
  private static final BitSet PLAIN = Resources.characters(Resources.NEWER, 'M');

  private Nfc() {}

  /** The text by this Java's Unicode. */
  static String of(String text) {
    StringBuilder sorted = null;
    int done = 0;
    for (int at = 0; at < text.length(); ) {
      int end = at;
      while (end < text.length() && isMark(text.codePointAt(end))) {
        end += Character.charCount(text.codePointAt(end));
      }
      if (end - at > LONG_RUN) {
        sorted = sorted == null ? new StringBuilder(text.length()) : sorted;
        sorted.append(text, done, at);
        sort(text.substring(at, end), sorted);
        done = end;
      }
      at = end == text.length() ? end : end + Character.charCount(text.codePointAt(end));
    }
    String ready = sorted == null ? text : sorted.append(text, done, text.length()).toString();
    return Normalizer.normalize(ready, Normalizer.Form.NFC);
  }

  /** The text by Unicode 10, for what Hugging Face's tokenizers computes. */
  static String ofUnicode10(String text) {
    StringBuilder out = new StringBuilder(text.length());
    int start = 0;
    for (int at = 0; at < text.length(); ) {
      int c = text.codePointAt(at);
      int next = at + Character.charCount(c);
      if (PLAIN.get(c)) {
        out.append(of(text.substring(start, at))).appendCodePoint(c);
        start = next;
      }
      at = next;
    }
    return out.append(of(text.substring(start))).toString();
  }

  /** Brings marks into canonical order: by class, stably, between those that have none. */
  private static void sort(String marks, StringBuilder to) {
    List<Integer> run = new ArrayList<>();
    for (int c : marks.codePoints().toArray()) {
      for (int part : decomposed(c).codePoints().toArray()) {
        if (hasClass(part)) {
          run.add(part);
        } else {
          flush(run, to);
          to.appendCodePoint(part);
        }
      }
    }
    flush(run, to);
  }

  private static void flush(List<Integer> run, StringBuilder to) {
    run.sort((a, b) -> a.equals(b) ? 0 : swaps(a, b) ? 1 : swaps(b, a) ? -1 : 0);
    run.forEach(to::appendCodePoint);
    run.clear();
  }

  private static boolean isMark(int c) {
    return switch (Character.getType(c)) {
      case Character.NON_SPACING_MARK, Character.COMBINING_SPACING_MARK, Character.ENCLOSING_MARK ->
          true;
      default -> false;
    };
  }

  /** Whether the second comes first in canonical order. */
  private static boolean swaps(int a, int b) {
    return decomposed(a, b).codePointAt(0) != a;
  }

  /** The lowest class is the overlay's, the highest the iota's. */
  private static boolean hasClass(int c) {
    return swaps(c, 0x334) || swaps(0x345, c) || c == 0x334;
  }

  private static String decomposed(int... codePoints) {
    return Normalizer.normalize(new String(codePoints, 0, codePoints.length), Normalizer.Form.NFD);
  }
}
