package dev.longalign.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SegmentSplitterTest {
  /** A word costs a token per eight characters, as BPE roughly does; two special tokens. */
  private static int count(String text) {
    int tokens = 2;
    for (String word : text.split("\\s+")) {
      tokens += (word.length() + 7) / 8;
    }
    return tokens;
  }

  private static final SegmentSplitter SENTENCES =
      SegmentSplitter.sentences(SegmentSplitterTest::count, 77);

  @Test
  void referenceSplitsAndCleansEveryGoldenCaptionAsTheReferenceDoes() throws IOException {
    JsonObject golden =
        JsonParser.parseString(Files.readString(Path.of("src/test/golden/text/segments.json")))
            .getAsJsonObject();
    JsonArray cases = golden.getAsJsonArray("cases");
    assertThat(cases).isNotEmpty();
    for (JsonElement e : cases) {
      JsonObject test = e.getAsJsonObject();
      String caption = test.get("caption").getAsString();
      List<String> expected = new ArrayList<>();
      test.getAsJsonArray("reference_segments").forEach(s -> expected.add(s.getAsString()));
      assertThat(SegmentSplitter.reference().split(caption)).as(caption).isEqualTo(expected);
      assertThat(CaptionCleaner.TRAINING.apply(caption))
          .isEqualTo(test.get("train_caption").getAsString());
      assertThat(CaptionCleaner.VALIDATION.apply(caption))
          .isEqualTo(test.get("validation_caption").getAsString());
      assertThat(String.join("", SENTENCES.split(caption))).isEqualTo(caption);
    }
  }

  @Test
  void sentencesEndWhereSentencesEnd() {
    assertThat(
            SENTENCES.split(
                "A red apple! Is it ripe? Yes. \"Are you there?\" asked Tom. \"Yes.\" He left."))
        .containsExactly(
            "A red apple! ",
            "Is it ripe? ",
            "Yes. ",
            "\"Are you there?\" asked Tom. ",
            "\"Yes.\" ",
            "He left.");
    assertThat(SENTENCES.split("半角。と全角。終わり")).containsExactly("半角。", "と全角。", "終わり");
    assertThat(SENTENCES.split("A title\n\nThe text\nof it.\nMore."))
        .containsExactly("A title\n\n", "The text\nof it.\n", "More.");
    assertThat(SENTENCES.split("The flag of the U.S. The sky is blue."))
        .containsExactly("The flag of the U.S. ", "The sky is blue.");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        " ",
        "...",
        "No end mark",
        "It costs 1,000.50 dollars, or 3.14 times as much.",
        "Mr. Smith and Dr. Jones met Mrs. Lee at St. Ives at 5 p.m. on Jan. 3.",
        "Fruit, e.g. Apples, i.e. Round ones, cf. Pears vs. Plums.",
        "The U.S. President and J. R. R. Tolkien at Apple Inc. Headquarters.",
        "Shapes, colours, etc. fill the page.",
        "See http://example.com/a.b?c=d for more.",
        "Version v1.2.3 of the app",
        "He shouted \"go\"! and left.",
        "A jar, No. 5, as in fig. 3 of vol. 2, ca. 1900."
      })
  void oneSentenceStaysWhole(String caption) {
    assertThat(SENTENCES.split(caption)).containsExactly(caption);
  }

  @Test
  void longSentencesAreCutAfterClausesAndKeepEveryWord() {
    StringBuilder caption = new StringBuilder("A market");
    for (int i = 0; i < 40; i++) {
      caption.append(", with stall number ").append(i).append(" selling wonderful vegetables");
    }
    List<String> segments = SENTENCES.split(caption.append('.').toString());
    assertThat(String.join("", segments)).isEqualTo(caption.toString());
    assertThat(segments)
        .hasSizeGreaterThan(4)
        .allSatisfy(s -> assertThat(count(s)).isLessThanOrEqualTo(77));
    assertThat(segments.subList(0, segments.size() - 1))
        .allSatisfy(s -> assertThat(s).endsWith(", "));
  }

  @Test
  void withoutClausesTheCutLiesBetweenWordsAndAGiantWordIsCutInside() {
    String words = "word ".repeat(300);
    assertThat(SENTENCES.split(words))
        .hasSize(4)
        .allSatisfy(s -> assertThat(s).startsWith("word").endsWith("word "));
    String giant = "x".repeat(40_000);
    List<String> parts = SENTENCES.split("a " + giant + " z");
    assertThat(String.join("", parts)).isEqualTo("a " + giant + " z");
    assertThat(parts).allSatisfy(s -> assertThat(count(s)).isLessThanOrEqualTo(77));
  }

  @Test
  void anyUnicodeSurvivesAndFits() {
    Random random = new Random(7);
    for (int round = 0; round < 300; round++) {
      StringBuilder text = new StringBuilder();
      int n = random.nextInt(2000);
      for (int i = 0; i < n; i++) {
        switch (random.nextInt(6)) {
          case 0 -> text.append(" .!?\n\0;,\"'\ud800\udc00\u0301".charAt(random.nextInt(13)));
          case 1 -> text.appendCodePoint(random.nextInt(0x110000));
          default -> text.append((char) ('a' + random.nextInt(26)));
        }
      }
      List<String> segments = SENTENCES.split(text.toString());
      assertThat(String.join("", segments)).isEqualTo(text.toString());
      assertThat(segments).allSatisfy(s -> assertThat(count(s)).isLessThanOrEqualTo(77));
    }
  }

  @Test
  void surrogatePairsAreNotCutEvenWhereOneCharacterExceedsTheWindow() {
    SegmentSplitter narrow = SegmentSplitter.sentences(text -> 2 + 5 * text.length(), 3);
    assertThat(narrow.split("🚀🌕")).containsExactly("🚀", "🌕");
    assertThatThrownBy(() -> SegmentSplitter.sentences(String::length, 2))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("window");
  }

  @Test
  void aHundredPagesTakeLessThanTwoSeconds() {
    String page =
        "A copper kettle is steaming on a stove, next to a loaf of rye bread and a bowl of apples "
            .repeat(34);
    String prompt = page.repeat(100);
    long start = cpuTime();
    List<String> segments = SENTENCES.split(prompt);
    assertThat(Duration.ofNanos(cpuTime() - start)).isLessThan(Duration.ofSeconds(2));
    assertThat(String.join("", segments)).isEqualTo(prompt);
  }

  /** Of this thread, so that a busy machine does not fail the test. */
  private static long cpuTime() {
    return ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
  }
}
