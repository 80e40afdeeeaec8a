package dev.longalign.text;

import dev.longalign.LongAlignException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * What became of one caption's words on the way into the picture model: its segments, the tokens of
 * each, and every token that the model never sees. Plain records, ready for gson.
 *
 * <pre>{@code
 * if (!report.isComplete()) {
 *   log.warn("{}", report.summary());
 * }
 * }</pre>
 *
 * @param caption the caption as given
 * @param window the most tokens of a segment that the CLIP encoder reads, special tokens included
 * @param tokenLength the most tokens of the concatenation
 * @param segments the caption's segments, in order
 * @param t5 what T5 reads, or null where no T5 is used
 * @param lostTokens every token that is cut, in order; CLIP's first
 */
public record EncodingReport(
    String caption,
    int window,
    int tokenLength,
    List<Segment> segments,
    T5 t5,
    List<LostToken> lostTokens) {

  private static final int SHOWN = 8;
  private static final int SHOWN_SENTENCES = 3;

  /** Where a token is lost. */
  public enum Cut {
    /** The segment is longer than the CLIP encoder's window. */
    WINDOW,
    /** The segments together are longer than the concatenation may be. */
    TOKEN_LENGTH,
    /** The caption is longer than what T5 is given. */
    T5_LENGTH,
    /** The text itself holds the end or padding token, which the concatenation leaves out. */
    SPECIAL_TOKEN
  }

  /**
   * One segment. {@code kept + cutByWindow + cutByTokenLength + special} = {@code ids.size() - 1}:
   * the end token, which the concatenation leaves out, is in none of them.
   *
   * @param ids all ids before any cut, with start and end token
   * @param kept tokens that reach the concatenation, the start token among them
   * @param special end and padding tokens inside the text
   */
  public record Segment(
      int index,
      String text,
      List<Integer> ids,
      int kept,
      int cutByWindow,
      int cutByTokenLength,
      int special) {
    public Segment {
      ids = List.copyOf(ids);
    }
  }

  /**
   * What T5 reads.
   *
   * @param ids all ids before any cut, with the end token
   * @param length the most tokens it is given, end token included
   * @param kept tokens it reads, end token included
   * @param cut tokens it does not read
   */
  public record T5(List<Integer> ids, int length, int kept, int cut) {
    public T5 {
      ids = List.copyOf(ids);
    }
  }

  /**
   * A token that the model never sees.
   *
   * @param id its id
   * @param token its text in the vocabulary
   * @param segment the segment's index, -1 for T5
   * @param position its index in the segment's (T5: the caption's) ids
   */
  public record LostToken(int id, String token, int segment, int position, Cut where) {}

  public EncodingReport {
    segments = List.copyOf(segments);
    lostTokens = List.copyOf(lostTokens);
  }

  public static ReportBuilder builder(String caption) {
    return new ReportBuilder(caption);
  }

  /** Whether every token reaches the model. */
  public boolean isComplete() {
    return lostTokens.isEmpty();
  }

  /** Tokens of the concatenation before padding. */
  public int tokens() {
    return segments.stream().mapToInt(Segment::kept).sum();
  }

  /** How many tokens are lost at each place; places without loss are absent. */
  public Map<Cut, Integer> losses() {
    Map<Cut, Integer> losses = new LinkedHashMap<>();
    lostTokens.forEach(t -> losses.merge(t.where(), 1, Integer::sum));
    return losses;
  }

  /** One line per fact, for people. */
  public String summary() {
    StringBuilder out = new StringBuilder();
    out.append(segments.size())
        .append(segments.size() == 1 ? " segment, " : " segments, ")
        .append(tokens())
        .append(" of ")
        .append(tokenLength)
        .append(" CLIP tokens");
    if (t5 != null) {
      out.append(", ").append(t5.kept).append(" of ").append(t5.length).append(" T5 tokens");
    }
    out.append(isComplete() ? "; nothing is cut" : "; " + lostTokens.size() + " tokens are cut");
    for (Map.Entry<Cut, Integer> loss : losses().entrySet()) {
      List<LostToken> lost =
          lostTokens.stream().filter(t -> t.where() == loss.getKey()).collect(Collectors.toList());
      out.append("\n  ")
          .append(loss.getValue())
          .append(' ')
          .append(reason(loss.getKey()))
          .append(": ")
          .append(words(lost));
    }
    return out.toString();
  }

  /**
   * This report, if nothing is lost.
   *
   * @throws LongAlignException listing the lost tokens (the first of them, and how many there are)
   */
  public EncodingReport requireComplete() {
    requireComplete(List.of(this));
    return this;
  }

  /**
   * {@link #requireComplete()} for a batch; the message lists every caption that loses something.
   */
  public static void requireComplete(Collection<EncodingReport> reports) {
    List<String> incomplete = new ArrayList<>();
    for (EncodingReport report : reports) {
      if (!report.isComplete()) {
        incomplete.add("\"" + excerpt(report.caption) + "\": " + report.summary());
      }
    }
    if (!incomplete.isEmpty()) {
      throw new LongAlignException(
          "expected every word to reach the model, found "
              + (incomplete.size() == 1 ? "a caption" : incomplete.size() + " captions")
              + " of which tokens are cut; shorten the text, split it into sentences, or allow cutting\n"
              + String.join("\n", incomplete));
    }
  }

  @Override
  public String toString() {
    return "\"" + excerpt(caption) + "\": " + summary();
  }

  private String reason(Cut where) {
    return switch (where) {
      case WINDOW -> "beyond the encoder's " + window + " tokens a segment";
      case TOKEN_LENGTH -> "beyond the concatenation's " + tokenLength + " tokens";
      case T5_LENGTH -> "beyond T5's " + t5.length + " tokens";
      case SPECIAL_TOKEN -> "end or padding tokens inside the text";
    };
  }

  /** Which words these are, for people: sentences count from 1. */
  private String words(List<LostToken> lost) {
    LostToken first = lost.get(0);
    return switch (first.where()) {
      case T5_LENGTH -> "from " + quoted(lost) + " on";
      case TOKEN_LENGTH ->
          first.position == 0
              ? "everything from sentence " + sentence(first.segment) + " on is lost"
              : "everything from "
                  + quoted(lost)
                  + " in sentence "
                  + sentence(first.segment)
                  + " on is lost";
      case WINDOW, SPECIAL_TOKEN -> {
        Map<Integer, List<LostToken>> bySegment =
            lost.stream()
                .collect(
                    Collectors.groupingBy(LostToken::segment, TreeMap::new, Collectors.toList()));
        String shown =
            bySegment.entrySet().stream()
                .limit(SHOWN_SENTENCES)
                .map(
                    e ->
                        (first.where() == Cut.WINDOW ? "from " + quoted(e.getValue()) + " on " : "")
                            + "in sentence "
                            + sentence(e.getKey()))
                .collect(Collectors.joining("; "));
        int more = bySegment.size() - SHOWN_SENTENCES;
        yield more > 0 ? shown + "; in " + more + " more" : shown;
      }
    };
  }

  private String sentence(int segment) {
    return (segment + 1) + " (\"" + excerpt(segments.get(segment).text().strip(), 30) + "\")";
  }

  /** What the tokens spell: {@code </w>} (CLIP) and the low line (T5) stand for blanks. */
  private static String quoted(List<LostToken> lost) {
    String text =
        lost.stream()
            .limit(SHOWN)
            .map(LostToken::token)
            .filter(token -> !token.matches("<.*>"))
            .collect(Collectors.joining())
            .replace("</w>", " ")
            .replace('\u2581', ' ')
            .strip();
    boolean more = lost.size() > SHOWN;
    // CLIP's tokens are bytes, which spell nothing that can be read beyond ASCII.
    boolean readable = lost.get(0).segment < 0 || text.chars().allMatch(c -> c < 127);
    return text.isEmpty() || !readable
        ? "the token at " + (lost.get(0).position + 1)
        : "\"" + text + (more ? " ..." : "") + "\"";
  }

  private static String excerpt(String text) {
    return excerpt(text, 60);
  }

  private static String excerpt(String text, int length) {
    return text.codePointCount(0, text.length()) <= length
        ? text
        : text.substring(0, text.offsetByCodePoints(0, length - 3)) + "...";
  }
}
