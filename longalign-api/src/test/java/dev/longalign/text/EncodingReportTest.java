package dev.longalign.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.gson.Gson;
import dev.longalign.LongAlignException;
import dev.longalign.text.EncodingReport.Cut;
import dev.longalign.text.EncodingReport.LostToken;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

class EncodingReportTest {
  private static final int BOS = 100;
  private static final int EOS = 101;

  /** One id per word: its length. */
  private record Words(int bosId, int eosId, int padId) implements Tokenizer {
    @Override
    public int[] encode(String text) {
      return Arrays.stream(("^ " + text + " $").strip().split("\\s+"))
          .mapToInt(
              w ->
                  w.equals("^")
                      ? bosId
                      : w.equals("$") ? eosId : w.equals("PAD") ? padId : w.length())
          .filter(id -> id >= 0)
          .toArray();
    }

    @Override
    public List<int[]> encodeAll(List<String> texts) {
      return texts.stream().map(this::encode).collect(Collectors.toList());
    }

    @Override
    public String token(int id) {
      return "w" + id;
    }

    @Override
    public int size() {
      return 50_000;
    }

    @Override
    public int modelMaxLength() {
      return 6;
    }

    @Override
    public void close() {}
  }

  private static final Words CLIP = new Words(BOS, EOS, EOS);
  private static final Words T5 = new Words(-1, 1, 0);

  private static EncodingReport report(
      int window, int tokenLength, int t5Length, String... segments) {
    List<String> texts = List.of(segments);
    String caption = String.join(" ", segments);
    return EncodingReport.builder(caption)
        .clip(CLIP, window, tokenLength)
        .segments(texts, CLIP.encodeAll(texts))
        .t5(T5, T5.encode(caption), t5Length)
        .build();
  }

  @Test
  void nothingIsLostWhereEverythingFits() {
    EncodingReport report = report(5, 7, 7, "aa bbb cccc", "dd ee", "");
    assertThat(report.isComplete()).isFalse(); // the third segment's start token is the eighth
    EncodingReport wide = report(5, 8, 6, "aa bbb cccc", "dd ee", "");
    assertThat(wide.isComplete()).isTrue();
    assertThat(wide.tokens()).isEqualTo(8);
    assertThat(wide.segments().get(0))
        .isEqualTo(
            new EncodingReport.Segment(0, "aa bbb cccc", List.of(BOS, 2, 3, 4, EOS), 4, 0, 0, 0));
    assertThat(wide.t5()).isEqualTo(new EncodingReport.T5(List.of(2, 3, 4, 2, 2, 1), 6, 6, 0));
    assertThat(wide.requireComplete()).isSameAs(wide);
    assertThat(wide.summary())
        .isEqualTo("3 segments, 8 of 8 CLIP tokens, 6 of 6 T5 tokens; nothing is cut");
  }

  @Test
  void everyLostTokenIsNamedWithItsPlace() {
    EncodingReport report = report(4, 5, 5, "aa bbb cccc ddddd", "e ff");
    // Segment 0: start, aa, bbb kept (window 4 with the end token); cccc and ddddd beyond it.
    // Segment 1: start and e fill the concatenation's five; ff is beyond.
    assertThat(report.lostTokens())
        .containsExactly(
            new LostToken(4, "w4", 0, 3, Cut.WINDOW),
            new LostToken(5, "w5", 0, 4, Cut.WINDOW),
            new LostToken(2, "w2", 1, 2, Cut.TOKEN_LENGTH),
            new LostToken(1, "w1", -1, 4, Cut.T5_LENGTH),
            new LostToken(2, "w2", -1, 5, Cut.T5_LENGTH));
    assertThat(report.segments().get(0).kept()).isEqualTo(3);
    assertThat(report.segments().get(0).cutByWindow()).isEqualTo(2);
    assertThat(report.segments().get(1).cutByTokenLength()).isEqualTo(1);
    assertThat(report.t5().cut()).isEqualTo(2);
    assertThat(report.losses())
        .isEqualTo(Map.of(Cut.WINDOW, 2, Cut.TOKEN_LENGTH, 1, Cut.T5_LENGTH, 2));
    assertThat(report.toString()).contains("5 tokens are cut");
  }

  /** Words for people, not the vocabulary's: CLIP marks the end of a word, T5 its beginning. */
  @Test
  void theSummaryTellsWhichWordsAreLost() {
    String[] vocabulary = {"a", "circle", "in", "the", "center"};
    Tokenizer clip = new Spelling(BOS, EOS, EOS, "%s</w>", vocabulary);
    Tokenizer t5 = new Spelling(-1, 1, 0, "\u2581%s", vocabulary);
    List<String> texts = List.of("a circle in the center", "the circle", "in the center");
    String caption = String.join(" ", texts);
    EncodingReport report =
        EncodingReport.builder(caption)
            .clip(clip, 5, 6)
            .segments(texts, clip.encodeAll(texts))
            .t5(t5, t5.encode(caption), 8)
            .build();
    // The first sentence keeps the start token and three words, the second start and one.
    assertThat(report.summary())
        .isEqualTo(
            """
            3 segments, 6 of 6 CLIP tokens, 8 of 8 T5 tokens; 10 tokens are cut
              2 beyond the encoder's 5 tokens a segment: from "the center" on in sentence 1 ("a circle in the center")
              5 beyond the concatenation's 6 tokens: everything from "circle in the center" in sentence 2 ("the circle") on is lost
              3 beyond T5's 8 tokens: from "in the center" on\
            """);
    EncodingReport whole =
        EncodingReport.builder(caption)
            .clip(clip, 77, 9)
            .segments(texts, clip.encodeAll(texts))
            .build();
    assertThat(whole.summary())
        .endsWith("everything from sentence 3 (\"in the center\") on is lost");
  }

  private record Spelling(int bosId, int eosId, int padId, String form, String... vocabulary)
      implements Tokenizer {
    private static final int FIRST = 10;

    @Override
    public int[] encode(String text) {
      List<Integer> ids = new java.util.ArrayList<>();
      if (bosId >= 0) {
        ids.add(bosId);
      }
      for (String word : text.split(" ")) {
        ids.add(FIRST + List.of(vocabulary).indexOf(word));
      }
      ids.add(eosId);
      return ids.stream().mapToInt(Integer::intValue).toArray();
    }

    @Override
    public List<int[]> encodeAll(List<String> texts) {
      return texts.stream().map(this::encode).collect(Collectors.toList());
    }

    @Override
    public String token(int id) {
      return id == bosId ? "<|startoftext|>" : String.format(form, vocabulary[id - FIRST]);
    }

    @Override
    public int size() {
      return FIRST + vocabulary.length;
    }

    @Override
    public int modelMaxLength() {
      return 77;
    }

    @Override
    public void close() {}
  }

  @Test
  void endTokensInsideTheTextAreReportedBecauseTheConcatenationDropsThem() {
    EncodingReport report = report(9, 9, 9, "aa PAD bb");
    assertThat(report.losses()).isEqualTo(Map.of(Cut.SPECIAL_TOKEN, 1));
    assertThat(report.segments().get(0).kept()).isEqualTo(3);
  }

  @Test
  void requireCompleteListsSomeAndCountsAll() {
    EncodingReport good = report(9, 99, 99, "aa");
    EncodingReport bad = report(9, 99, 99, "long ".repeat(60));
    assertThatThrownBy(() -> EncodingReport.requireComplete(List.of(good, bad)))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("a caption of which tokens are cut")
        .hasMessageContaining("53 tokens are cut")
        .hasMessageContaining("sentence 1")
        .satisfies(e -> assertThat(e.getMessage().length()).isLessThan(600));
    assertThatCode(() -> EncodingReport.requireComplete(List.of(good))).doesNotThrowAnyException();
  }

  @Test
  void gsonWritesAndReadsIt() {
    EncodingReport report = report(4, 5, 5, "aa bbb cccc ddddd", "e ff");
    String json = new Gson().toJson(report);
    assertThat(json).contains("\"where\":\"WINDOW\"", "\"kept\":3");
    assertThat(new Gson().fromJson(json, EncodingReport.class)).isEqualTo(report);
  }
}
