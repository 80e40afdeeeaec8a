package dev.longalign.text;

import java.text.BreakIterator;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.function.ToIntFunction;

/**
 * Cuts text that has more tokens than the encoder's window: after a clause, else after a word, else
 * between characters. Nothing is dropped. The furthest end that fits is found by doubling and
 * bisection, so the tokenizer never sees much more than a window of text at once.
 */
final class WindowSplitter {
  private static final int FIRST_PROBE = 256; // chars; about a window of English
  private static final String CLAUSE_ENDS = ",;:\u2014\u2013)\u3001\uff0c\uff1b\uff1a.!?\u3002";

  private final ToIntFunction<String> tokenCount;
  private final int window;

  WindowSplitter(ToIntFunction<String> tokenCount, int window) {
    this.tokenCount = Objects.requireNonNull(tokenCount, "tokenCount");
    if (window < 3) {
      throw new IllegalArgumentException(
          "window: expected at least 3 tokens (start, one token, end), found " + window);
    }
    this.window = window;
  }

  /** Adds the pieces of {@code text} to {@code out}; at least one. */
  void split(String text, List<String> out) {
    int start = 0;
    do {
      int fit = furthestFit(text, start);
      int end = fit == text.length() ? fit : cut(text, start, fit);
      out.add(text.substring(start, end));
      start = end;
    } while (start < text.length());
  }

  private boolean fits(String text, int start, int end) {
    return tokenCount.applyAsInt(text.substring(start, end)) <= window;
  }

  /**
   * The furthest end that fits, by doubling and bisection; {@code start} if not even one character
   * does.
   */
  private int furthestFit(String text, int start) {
    int low = start;
    long step = FIRST_PROBE;
    int high;
    while (true) {
      high = (int) Math.min(text.length(), start + step);
      if (!fits(text, start, high)) {
        break;
      }
      if (high == text.length()) {
        return high;
      }
      low = high;
      step *= 2;
    }
    while (high - low > 1) {
      int middle = (low + high) >>> 1;
      if (fits(text, start, middle)) {
        low = middle;
      } else {
        high = middle;
      }
    }
    return low;
  }

  /** The best place to cut in (start, fit]. */
  private int cut(String text, int start, int fit) {
    int word = -1;
    for (int i = fit; i > start; i--) {
      if (word >= 0 && i - start < (fit - start) / 3) {
        break; // a clause this early would leave a scrap
      }
      // A cut lies between white space and what follows it; the blank stays with the word before
      // it.
      if (!SentenceSplitter.isSpace(text.charAt(i - 1))
          || SentenceSplitter.isSpace(text.charAt(i))) {
        continue;
      }
      int end = i;
      while (end > start && SentenceSplitter.isSpace(text.charAt(end - 1))) {
        end--;
      }
      boolean clause = end > start && CLAUSE_ENDS.indexOf(text.charAt(end - 1)) >= 0;
      if (end == start || (word >= 0 && !clause) || !fits(text, start, i)) {
        continue;
      }
      if (clause) {
        return i;
      }
      word = i;
    }
    return word > 0 ? word : characterCut(text, start, fit);
  }

  /** Inside a giant word: between what a reader sees as characters, else between code points. */
  private int characterCut(String text, int start, int fit) {
    int limit = Math.min(text.length(), Math.max(fit, start + 1) + 64);
    BreakIterator characters = BreakIterator.getCharacterInstance(Locale.ROOT);
    characters.setText(text.substring(start, limit));
    int end = start + (fit > start ? characters.preceding(fit - start + 1) : 0);
    while (end > start && !fits(text, start, end)) {
      end = start + characters.preceding(end - start);
    }
    if (end > start) {
      return end;
    }
    // One visible character exceeds the window.
    end = fit > start && Character.isLowSurrogate(text.charAt(fit)) ? fit - 1 : fit;
    return end > start ? end : text.offsetByCodePoints(start, 1);
  }
}
