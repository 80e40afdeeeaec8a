package dev.longalign.text;

import java.text.BreakIterator;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.Set;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Sentences by {@link BreakIterator}, which knows terminators and quotes but neither abbreviations
 * nor addresses: its boundaries are candidates, and a full stop that belongs to a word is not one.
 */
final class SentenceSplitter implements SegmentSplitter {
  /** Never the end of a sentence: a name, a number or an example follows. */
  private static final Set<String> BINDING =
      Set.of(
          "mr", "mrs", "ms", "mx", "dr", "prof", "rev", "fr", "hon", "gen", "col", "capt", "cpt",
          "lt", "sgt", "cmdr", "adm", "gov", "sen", "rep", "pres", "messrs", "mme", "mlle", "sr",
          "sra", "e.g", "i.e", "eg", "ie", "cf", "vs", "viz", "ca", "approx", "resp", "incl",
          "excl", "esp");

  /** Ends a sentence only if the next word is one that sentences begin with. */
  private static final Set<String> AMBIGUOUS =
      Set.of(
          "etc", "jr", "snr", "inc", "ltd", "co", "corp", "bros", "ave", "blvd", "rd", "dept",
          "univ", "assn", "al", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept",
          "oct", "nov", "dec", "mon", "tue", "tues", "wed", "thu", "thurs", "fri", "sat", "sun",
          "in", "oz", "lb", "lbs", "min", "max", "sec", "hr", "hrs", "est", "no", "nos", "vol",
          "vols", "fig", "figs", "pp", "ch", "ed", "eds", "op", "art", "st", "mt", "ft");

  /** Before a number these are abbreviations, else words. */
  private static final Set<String> NUMBERED =
      Set.of(
          "no", "nos", "vol", "vols", "fig", "figs", "p", "pp", "ch", "op", "sec", "art", "ed", "c",
          "ca", "approx");

  /** Words among the ambiguous that are usually not abbreviations when a capital follows. */
  private static final Set<String> WORDS =
      Set.of(
          "in", "no", "mar", "jun", "sat", "sun", "wed", "fri", "mon", "min", "max", "sec", "art",
          "ed", "al", "oz", "ch");

  private static final Set<String> STARTERS =
      Set.of(
          "a",
          "above",
          "across",
          "after",
          "all",
          "along",
          "although",
          "an",
          "and",
          "another",
          "as",
          "around",
          "at",
          "before",
          "behind",
          "below",
          "beneath",
          "beside",
          "between",
          "both",
          "but",
          "by",
          "each",
          "every",
          "few",
          "for",
          "from",
          "he",
          "her",
          "here",
          "his",
          "how",
          "however",
          "i",
          "if",
          "in",
          "inside",
          "it",
          "its",
          "many",
          "most",
          "my",
          "near",
          "next",
          "no",
          "nearby",
          "on",
          "one",
          "only",
          "other",
          "our",
          "outside",
          "over",
          "several",
          "she",
          "so",
          "some",
          "soft",
          "such",
          "that",
          "the",
          "their",
          "then",
          "there",
          "these",
          "they",
          "this",
          "those",
          "three",
          "through",
          "to",
          "two",
          "under",
          "we",
          "what",
          "when",
          "where",
          "while",
          "who",
          "why",
          "with",
          "you",
          "your");

  private static final Pattern WORD_AND_STOP =
      Pattern.compile("(?<![\\p{L}\\p{N}.])((?:\\p{L}\\.)*\\p{L}++)\\.[\"'\\u2019\\u201d)\\]]*\\z");
  private static final Pattern NEXT_WORD =
      Pattern.compile("[\"'\\u2018\\u201c(\\[]*([\\p{L}\\p{N}]++)");
  private static final Pattern BLANK_LINE = Pattern.compile("(?>\\R)\\h*+\\R\\s*+");
  private static final String TERMINATORS =
      ".!?\u2026\u3002\uff01\uff1f\uff0e\uff61\u0964\u061f\u06d4\u203c\u2047\u2048\u2049";
  private static final String CLOSERS = "\"'\u2019\u201d\u00bb\u203a)]}*_\u300d\u300f\uff09\u3011";
  private static final String WIDE_STOPS = "\u3002\uff01\uff1f\uff0e\uff61";

  private final WindowSplitter window;

  SentenceSplitter(WindowSplitter window) {
    this.window = window;
  }

  @Override
  public List<String> split(String caption) {
    Objects.requireNonNull(caption, "caption");
    List<String> segments = new ArrayList<>();
    int start = 0;
    for (int end : candidates(caption)) {
      if (isBoundary(caption, start, end)) {
        window.split(caption.substring(start, end), segments);
        start = end;
      }
    }
    if (start < caption.length() || segments.isEmpty()) {
      window.split(caption.substring(start), segments);
    }
    return List.copyOf(segments);
  }

  /** Places inside the caption where a sentence may end, in order. */
  private static SortedSet<Integer> candidates(String caption) {
    SortedSet<Integer> candidates = new TreeSet<>();
    BreakIterator sentences = BreakIterator.getSentenceInstance(Locale.ROOT);
    sentences.setText(caption);
    for (int end = sentences.next(); end != BreakIterator.DONE; end = sentences.next()) {
      candidates.add(end);
    }
    BLANK_LINE.matcher(caption).results().forEach(blank -> candidates.add(blank.end()));
    candidates.remove(caption.length());
    return candidates;
  }

  private static boolean isBoundary(String text, int start, int at) {
    int end = at; // of the visible text before the candidate
    while (end > start && isSpace(text.charAt(end - 1))) {
      end--;
    }
    if (end == start) {
      return false; // nothing but white space: it goes with what follows
    }
    if (BLANK_LINE.matcher(text).region(end, at).find()) {
      return true;
    }
    int mark = end;
    while (mark > start && CLOSERS.indexOf(text.charAt(mark - 1)) >= 0) {
      mark--;
    }
    if (mark == start || TERMINATORS.indexOf(text.charAt(mark - 1)) < 0) {
      return false; // a line break inside a sentence
    }
    char terminator = text.charAt(mark - 1);
    if (end == at) {
      return WIDE_STOPS.indexOf(terminator)
          >= 0; // "a.b?c=d" is one word, but CJK writes no blank here
    }
    int next = text.codePointAt(at);
    if (Character.isLowerCase(next)) {
      return false; // "Yes!" she said; e.g. this
    }
    return terminator != '.' || !isAbbreviation(text, start, end, at);
  }

  private static boolean isAbbreviation(String text, int start, int end, int at) {
    Matcher word = WORD_AND_STOP.matcher(text).region(Math.max(start, end - 24), end);
    if (!word.find()) {
      return false;
    }
    String before = word.group(1).toLowerCase(Locale.ROOT);
    Matcher next = NEXT_WORD.matcher(text).region(at, text.length());
    String after = next.lookingAt() ? next.group(1) : "";
    boolean number = !after.isEmpty() && Character.isDigit(after.codePointAt(0));
    boolean starter = STARTERS.contains(after.toLowerCase(Locale.ROOT));
    if (BINDING.contains(before)) {
      return true;
    }
    if (number) {
      return NUMBERED.contains(before) || (AMBIGUOUS.contains(before) && !WORDS.contains(before));
    }
    boolean initials = before.length() == 1 || before.indexOf('.') > 0; // J. Smith, U.S., p.m.
    boolean capitalInitials = initials && Character.isUpperCase(word.group(1).codePointAt(0));
    boolean ambiguous = AMBIGUOUS.contains(before) && !WORDS.contains(before);
    return (ambiguous || capitalInitials) && !starter && !after.isEmpty();
  }

  static boolean isSpace(char c) {
    return Character.isWhitespace(c) || Character.isSpaceChar(c) || c == '\u0085';
  }
}
