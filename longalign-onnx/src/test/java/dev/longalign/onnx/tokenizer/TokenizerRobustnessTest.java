package dev.longalign.onnx.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import dev.longalign.text.SegmentSplitter;
import dev.longalign.text.Tokenizer;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Text and files that nobody planned for. */
class TokenizerRobustnessTest {
  private static final String PAGE =
      "A copper kettle is steaming on a blue gas stove, next to a loaf of rye bread. ".repeat(38);

  private static Map<String, Tokenizer> tokenizers;

  @TempDir Path directory;

  @BeforeAll
  static void open() {
    tokenizers =
        Map.of(
            "slow",
            ClipTokenizers.openSlow(Golden.CLIP),
            "fast",
            ClipTokenizers.openFast(Golden.CLIP),
            "t5",
            T5Tokenizers.open(Golden.T5));
  }

  @AfterAll
  static void close() {
    tokenizers.values().forEach(Tokenizer::close);
  }

  @Test
  void oddTextGivesAWellFormedSequence() {
    Random random = new Random(3);
    String anything =
        IntStream.range(0, 20_000)
            .map(i -> random.nextInt(0x110000))
            .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append)
            .toString();
    List<String> texts =
        List.of(
            "",
            " ",
            "\0",
            "\0\0a\0",
            "!?.,;:'\"()[]{}<>",
            "\ud800",
            "\udc00\ud800",
            "a\ud83d",
            "\u0345",
            "\ufeff",
            "\u200d\u200d",
            "\n\r\t\f",
            "e\u0301".repeat(2000),
            "a" + "\u0301".repeat(20_000),
            anything);
    tokenizers.forEach(
        (name, tokenizer) -> {
          for (String text : texts) {
            int[] ids = tokenizer.encode(text);
            assertThat(ids).as(name).hasSizeGreaterThanOrEqualTo(tokenizer.bosId() < 0 ? 1 : 2);
            assertThat(ids[ids.length - 1]).as(name).isEqualTo(tokenizer.eosId());
            assertThat(Arrays.stream(ids))
                .as(name)
                .allSatisfy(id -> assertThat(tokenizer.token(id)).doesNotStartWith("<unknown"));
          }
        });
  }

  @Test
  void loneSurrogatesReadAsTheReplacementCharacter() {
    tokenizers.forEach(
        (name, tokenizer) ->
            assertThat(tokenizer.encode("a\ud800b"))
                .as(name)
                .isEqualTo(tokenizer.encode("a\ufffdb")));
  }

  @Test
  void giantWordsAndAHundredPagesTakeLessThanTwoSecondsEach() {
    Random random = new Random(5);
    String letters =
        IntStream.range(0, 40_000)
            .map(i -> 'a' + random.nextInt(26))
            .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append)
            .toString();
    List<String> texts =
        List.of(
            "a".repeat(40_000),
            letters,
            "Ã©".repeat(20_000),
            "ÃƒÂ©".repeat(10_000) + "\u4e2d",
            "&amp;".repeat(8_000),
            "&".repeat(40_000),
            "\u001b[".repeat(20_000),
            " ".repeat(100_000),
            PAGE.repeat(100));
    tokenizers.forEach(
        (name, tokenizer) -> {
          tokenizer.encode("warm up");
          for (String text : texts) {
            long start = cpuTime();
            tokenizer.encode(text);
            assertThat(Duration.ofNanos(cpuTime() - start))
                .as("%s on %s...", name, text.substring(0, 10))
                .isLessThan(Duration.ofSeconds(2));
          }
        });
  }

  @Test
  void sentencesOfAHundredPagesFitTheWindowAndLoseNothing() {
    Tokenizer clip = tokenizers.get("slow");
    SegmentSplitter sentences =
        SegmentSplitter.sentences(text -> clip.encode(text).length, clip.modelMaxLength());
    String prompt = PAGE.repeat(100).replace("bread. ", "bread and then ");
    long start = cpuTime();
    List<String> segments = sentences.split(prompt);
    assertThat(Duration.ofNanos(cpuTime() - start)).isLessThan(Duration.ofSeconds(2));
    assertThat(String.join("", segments)).isEqualTo(prompt);
    assertThat(clip.encodeAll(segments))
        .allSatisfy(ids -> assertThat(ids).hasSizeLessThanOrEqualTo(77));
    int words = clip.encode(prompt).length - 2;
    assertThat(clip.encodeAll(segments).stream().mapToInt(ids -> ids.length - 2).sum())
        .isEqualTo(words);
  }

  @Test
  void manyThreadsGetWhatOneGets() throws Exception {
    List<String> texts =
        IntStream.range(0, 50)
            .mapToObj(i -> "Ångström no. " + i + " “quoted” 日本 " + "word ".repeat(i))
            .collect(Collectors.toList());
    ExecutorService pool = Executors.newFixedThreadPool(4);
    try {
      for (Tokenizer tokenizer : tokenizers.values()) {
        List<int[]> expected = tokenizer.encodeAll(texts);
        Callable<List<int[]>> task = () -> tokenizer.encodeAll(texts);
        for (Future<List<int[]>> result : pool.invokeAll(List.of(task, task, task, task))) {
          assertThat(result.get().toArray(int[][]::new))
              .isDeepEqualTo(expected.toArray(int[][]::new));
        }
      }
    } finally {
      pool.shutdown();
    }
  }

  @Test
  void aClosedTokenizerSaysSo() {
    Tokenizer tokenizer = T5Tokenizers.open(Golden.T5);
    tokenizer.close();
    assertThatCode(tokenizer::close).doesNotThrowAnyException();
    assertThatThrownBy(() -> tokenizer.encode("a"))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("closed");
  }

  @Test
  void missingFilesAreNamed() throws IOException {
    Path nowhere = directory.resolve("nowhere");
    assertThatThrownBy(() -> ClipTokenizers.open(nowhere))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining(nowhere.toString())
        .hasMessageContaining("expected a tokenizer directory, found nothing");
    assertThatThrownBy(() -> T5Tokenizers.open(directory))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("expected tokenizer.json or spiece.model, found neither");
    Files.copy(Golden.CLIP.resolve("vocab.json"), directory.resolve("vocab.json"));
    for (boolean fast : new boolean[] {true, false}) {
      assertThatThrownBy(() -> openClip(fast))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("merges.txt")
          .hasMessageContaining("found only vocab.json");
    }
  }

  @Test
  void damagedFilesAreNamed() throws IOException {
    refuses("vocab.json", "{\"a\": ", "a JSON object");
    refuses("vocab.json", "[1, 2]", "found a JSON array");
    refuses("vocab.json", "{}", "found an empty one");
    refuses("vocab.json", "{\"a\": 0.5}", "\"a\": 0.5");
    refuses("vocab.json", "[".repeat(100_000), "a JSON object");
    refuses("merges.txt", "#version: 0.2\ni n\nonly\n", "two symbols in merge 3");
    refuses("tokenizer_config.json", "nonsense", "a JSON object");
    refuses(
        "tokenizer_config.json",
        "{\"added_tokens_decoder\": {\"x\": {\"content\": \"y\"}}}",
        "\"x\"");
    Files.write(directory.resolve("spiece.model"), new byte[] {10, 99, 1, 2, 3});
    assertThatThrownBy(() -> T5Tokenizers.open(directory))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("spiece.model: expected a SentencePiece model");
    Files.write(directory.resolve("spiece.model"), new byte[0]);
    assertThatThrownBy(() -> T5Tokenizers.open(directory))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("found no pieces");
    for (String json :
        List.of(
            "{}",
            "{\"model\": {\"vocab\": {}}}",
            "{\"model\": {\"type\": \"Unigram\", \"vocab\": []}}",
            "{\"model\": {\"type\": \"Nonsense\", \"vocab\": [[\"<pad>\", 0], [\"</s>\", 0]]}}")) {
      Files.writeString(directory.resolve("tokenizer.json"), json);
      assertThatThrownBy(() -> T5Tokenizers.open(directory))
          .as(json)
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("tokenizer.json: expected");
    }
  }

  private void refuses(String name, String content, String message) throws IOException {
    for (String file :
        List.of("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json")) {
      Files.deleteIfExists(directory.resolve(file));
      Files.copy(
          Golden.ROOT.resolve("models/tiny-longsd/tokenizer").resolve(file),
          directory.resolve(file));
    }
    Files.writeString(directory.resolve(name), content);
    for (boolean fast : new boolean[] {true, false}) {
      assertThatThrownBy(() -> openClip(fast))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining(directory.resolve(name).toString())
          .hasMessageContaining(message);
    }
  }

  private Tokenizer openClip(boolean fast) {
    return fast ? ClipTokenizers.openFast(directory) : ClipTokenizers.openSlow(directory);
  }

  /** Of this thread, so that a busy machine does not fail the test. */
  private static long cpuTime() {
    return ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
  }
}
