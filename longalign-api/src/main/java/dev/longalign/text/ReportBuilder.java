package dev.longalign.text;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.stream.Collectors;

/**
 * Works out an {@link EncodingReport} from ids that are not cut yet, following the reference's
 * rules: a segment beyond the window keeps its first {@code window - 1} ids and the end token; end
 * and padding ids are left out of the concatenation, which is cut at {@code tokenLength}; T5 keeps
 * its first {@code length - 1} ids and the end token.
 *
 * <pre>{@code
 * EncodingReport report = EncodingReport.builder(caption)
 *     .clip(clipTokenizer, 77, 240)
 *     .segments(texts, clipTokenizer.encodeAll(texts))
 *     .t5(t5Tokenizer, t5Tokenizer.encode(caption), 240)
 *     .build();
 * }</pre>
 */
public final class ReportBuilder {
  private final String caption;
  private Tokenizer clip;
  private int window;
  private int tokenLength;
  private List<String> texts = List.of();
  private List<int[]> segments = List.of();
  private Tokenizer t5;
  private int[] t5Ids;
  private int t5Length;

  ReportBuilder(String caption) {
    this.caption = Objects.requireNonNull(caption, "caption");
  }

  /**
   * @param tokenizer gives the special ids and the names of tokens
   * @param window tokens of a segment that the encoder reads (77)
   * @param tokenLength tokens of the concatenation (240)
   */
  public ReportBuilder clip(Tokenizer tokenizer, int window, int tokenLength) {
    this.clip = Objects.requireNonNull(tokenizer, "tokenizer");
    this.window = positive("window", window);
    this.tokenLength = positive("tokenLength", tokenLength);
    return this;
  }

  /**
   * @param texts the caption's segments
   * @param ids the ids of each, with special tokens, neither padded nor cut
   */
  public ReportBuilder segments(List<String> texts, List<int[]> ids) {
    if (texts.size() != ids.size()) {
      throw new IllegalArgumentException(texts.size() + " segments, but ids of " + ids.size());
    }
    this.texts = List.copyOf(texts);
    this.segments = List.copyOf(ids);
    return this;
  }

  /**
   * @param ids the caption's ids, with the end token, neither padded nor cut
   * @param length tokens that T5 is given (240)
   */
  public ReportBuilder t5(Tokenizer tokenizer, int[] ids, int length) {
    this.t5 = Objects.requireNonNull(tokenizer, "tokenizer");
    this.t5Ids = ids.clone();
    this.t5Length = positive("length", length);
    return this;
  }

  public EncodingReport build() {
    if (clip == null) {
      throw new IllegalStateException("clip(...) has not been called");
    }
    List<EncodingReport.LostToken> lost = new ArrayList<>();
    List<EncodingReport.Segment> reported = new ArrayList<>();
    int total = 0;
    for (int index = 0; index < segments.size(); index++) {
      EncodingReport.Segment segment = segment(index, total, lost);
      reported.add(segment);
      total += segment.kept();
    }
    return new EncodingReport(
        caption, window, tokenLength, reported, t5 == null ? null : t5Part(lost), lost);
  }

  private EncodingReport.Segment segment(
      int index, int total, List<EncodingReport.LostToken> lost) {
    int[] ids = segments.get(index);
    int[] counts = new int[EncodingReport.Cut.values().length];
    int kept = 0;
    for (int position = 0; position < ids.length; position++) {
      EncodingReport.Cut where = null;
      if (position == ids.length - 1 && ids[position] == clip.eosId()) {
        break; // the end token, which carries no word
      } else if (ids.length > window && position >= window - 1) {
        where = EncodingReport.Cut.WINDOW;
      } else if (ids[position] == clip.eosId() || ids[position] == clip.padId()) {
        where = EncodingReport.Cut.SPECIAL_TOKEN;
      } else if (total + kept >= tokenLength) {
        where = EncodingReport.Cut.TOKEN_LENGTH;
      } else {
        kept++;
      }
      if (where != null) {
        counts[where.ordinal()]++;
        lost.add(
            new EncodingReport.LostToken(
                ids[position], clip.token(ids[position]), index, position, where));
      }
    }
    return new EncodingReport.Segment(
        index,
        texts.get(index),
        boxed(ids),
        kept,
        counts[EncodingReport.Cut.WINDOW.ordinal()],
        counts[EncodingReport.Cut.TOKEN_LENGTH.ordinal()],
        counts[EncodingReport.Cut.SPECIAL_TOKEN.ordinal()]);
  }

  private EncodingReport.T5 t5Part(List<EncodingReport.LostToken> lost) {
    int cut = 0;
    if (t5Ids.length > t5Length) {
      int last = t5Ids[t5Ids.length - 1] == t5.eosId() ? t5Ids.length - 1 : t5Ids.length;
      for (int position = t5Length - 1; position < last; position++) {
        lost.add(
            new EncodingReport.LostToken(
                t5Ids[position],
                t5.token(t5Ids[position]),
                -1,
                position,
                EncodingReport.Cut.T5_LENGTH));
        cut++;
      }
    }
    return new EncodingReport.T5(boxed(t5Ids), t5Length, Math.min(t5Ids.length, t5Length), cut);
  }

  private static List<Integer> boxed(int[] ids) {
    return Arrays.stream(ids).boxed().collect(Collectors.toUnmodifiableList());
  }

  private static int positive(String name, int value) {
    if (value < 1) {
      throw new IllegalArgumentException(name + ": expected a positive number, found " + value);
    }
    return value;
  }
}
