package dev.longalign.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlign;
import dev.longalign.LongAlignException;
import dev.longalign.SampleRequest;
import dev.longalign.Splitter;
import dev.longalign.onnx.OnnxEncoderProvider;
import dev.longalign.text.EncodingReport;
import dev.longalign.text.Tokenizer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Whatever the text, every token reaches the network or is named in the report. */
@Timeout(value = 5, unit = TimeUnit.MINUTES)
final class LongTextTest {
  private static final int WINDOW = 77;
  private static final int LENGTH = 240;

  /** First and last code point of the alphabets that random words are made of. */
  private static final int[][] ALPHABETS = {
    {'a', 'z'},
    {'a', 'z'},
    {'A', '~'},
    {0xC0, 0x17F}, // accented Latin
    {0x300, 0x36F}, // combining marks
    {0x391, 0x3C9}, // Greek
    {0x410, 0x44F}, // Cyrillic
    {0x5D0, 0x5EA}, // Hebrew
    {0x621, 0x64A}, // Arabic
    {0x900, 0x97F}, // Devanagari
    {0x3041, 0x30FF}, // kana
    {0x4E00, 0x9FFF}, // Han
    {0xAC00, 0xD7A3}, // Hangul
    {0xFF01, 0xFF5E}, // full-width forms
    {0x1F300, 0x1FAFF}, // emoji
    {0x1F1E6, 0x1F1FF}, // flags
    {0x2000, 0x206F}, // spaces, joiners, directions
    {0x00, 0x1F}, // controls
    {0x80, 0x9F},
    {0x20000, 0x2FFFF}, // second plane
    {0xE0000, 0x10FFFF}, // tags, private planes
    {0x00, 0x10FFFF}
  };

  private static final String[] ENDS = {
    " ", " ", " ", " ", ", ", ". ", "! ", "? ", "; ", "\n", "\""
  };

  private static LongAlign longAlign;
  private static Tokenizer clip;
  private static Tokenizer t5;

  @BeforeAll
  static void open() {
    longAlign = LongAlign.builder().build();
    OnnxEncoderProvider provider = new OnnxEncoderProvider();
    clip = provider.clipTokenizer(MiniModel.directory().resolve("tokenizer"));
    t5 = provider.t5Tokenizer(MiniModel.directory().resolve("t5"));
  }

  @AfterAll
  static void close() {
    longAlign.close();
    clip.close();
    t5.close();
  }

  @Test
  void aHundredRandomTextsLoseNoTokenUnreported() {
    Random random = new Random(20241117);
    int cut = 0;
    for (int i = 0; i < 100; i++) {
      String text = randomText(random, 200 + random.nextInt(801));
      Splitter splitter = i % 5 == 0 ? Splitter.SENTENCES : Splitter.REFERENCE;
      EncodingReport report = longAlign.encode(text, splitter);
      check(text, splitter, report);
      cut += report.isComplete() ? 0 : 1;
    }
    assertThat(cut).isGreaterThan(90); // else the texts were not long
  }

  @Test
  void worldCaptionsAreCompleteAndStrictAcceptsThem() {
    SampleRequest request = Engines.quick(1, 1).strict(true).build();
    assertThat(longAlign.sample(request).encoding().isComplete()).isTrue();
  }

  @Test
  void strictRefusesWhatIsCutAndNamesIt() {
    String text = "There is a large red circle in the center. ".repeat(60);
    SampleRequest request = SampleRequest.of(text).toBuilder().steps(1).build();
    EncodingReport report = longAlign.sample(request).encoding();
    check(text, Splitter.REFERENCE, report);
    assertThat(report.losses())
        .containsOnlyKeys(EncodingReport.Cut.TOKEN_LENGTH, EncodingReport.Cut.T5_LENGTH);
    assertThatThrownBy(() -> longAlign.sample(request.toBuilder().strict(true).build()))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("beyond the concatenation's 240 tokens")
        .hasMessageContaining("beyond T5's 240 tokens")
        .hasMessageContaining("circle")
        .hasMessageContaining("shorten the text");
  }

  @Test
  void aHundredPages() {
    String page = "In the center of the image we can see a small red square. ".repeat(50);
    String text = page.repeat(100); // 290 thousand characters
    EncodingReport report = longAlign.sample(quick(text)).encoding();
    check(text, Splitter.REFERENCE, report);
    assertThat(report.segments()).hasSize(5001); // a last one, of the space at the end
    assertThat(report.tokens()).isEqualTo(LENGTH);
    assertThat(report.summary()).contains("tokens are cut").hasSizeLessThan(2000);
    check(text, Splitter.SENTENCES, longAlign.encode(text, Splitter.SENTENCES));
  }

  @Test
  void nothingAtAll() {
    for (String text : List.of("", " ", "\n\t ", "\u0000", "\uFEFF")) {
      EncodingReport report = longAlign.sample(quick(text)).encoding();
      check(text, Splitter.REFERENCE, report);
      assertThat(report.isComplete()).isTrue();
      assertThat(report.segments()).hasSize(1);
      check(text, Splitter.SENTENCES, longAlign.encode(text, Splitter.SENTENCES));
    }
  }

  @Test
  void onlyPunctuation() {
    for (String text :
        List.of("...", "!!!???;;;", ". . . ! ?", "\u3002\uFF01\uFF1F", "\"!;\"\"!")) {
      check(text, Splitter.REFERENCE, longAlign.sample(quick(text)).encoding());
      check(text, Splitter.SENTENCES, longAlign.encode(text, Splitter.SENTENCES));
    }
    String dots = ".".repeat(20_000);
    check(dots, Splitter.REFERENCE, longAlign.sample(quick(dots)).encoding());
  }

  @Test
  void nulBytesAndHalvesOfPairs() {
    String text = "A red\u0000 circle\u0000\u0000. A \uD83D blue \uDE00 square. \u0000";
    EncodingReport report = longAlign.sample(quick(text)).encoding();
    check(text, Splitter.REFERENCE, report);
    assertThat(report.caption()).isEqualTo(text);
    assertThat(report.isComplete()).isTrue();
    List<String> words = words(report);
    assertThat(words).contains("red</w>", "circle</w>", "blue</w>", "square</w>");
  }

  @Test
  void aWordOfFortyKilobytes() {
    for (String letter : List.of("a", "\u00E9", "\u6F22", "\uD83D\uDE00")) {
      String word = letter.repeat(40_000 / letter.getBytes(StandardCharsets.UTF_8).length);
      EncodingReport report = longAlign.sample(quick(word)).encoding();
      check(word, Splitter.REFERENCE, report);
      assertThat(report.segments()).hasSize(1);
      assertThat(report.tokens()).isEqualTo(WINDOW - 1);
    }
    for (String word : List.of("a".repeat(40_000), "\u6F22".repeat(3000))) {
      check(word, Splitter.SENTENCES, longAlign.encode(word, Splitter.SENTENCES));
    }
  }

  private static SampleRequest quick(String text) {
    return SampleRequest.of(text).toBuilder().steps(1).build();
  }

  private static List<String> words(EncodingReport report) {
    return report.segments().stream()
        .flatMap(segment -> segment.ids().stream())
        .map(clip::token)
        .collect(Collectors.toList());
  }

  /** Works out from the texts alone what has to be kept, and compares. */
  private static void check(String text, Splitter splitter, EncodingReport report) {
    assertThat(report.caption()).isEqualTo(text);
    List<String> segments = report.segments().stream().map(EncodingReport.Segment::text).toList();
    if (splitter == Splitter.REFERENCE) {
      // Nothing but the marks at which a caption is split may be missing from its segments.
      String pieces =
          segments.stream().map(LongTextTest::withoutAddedStop).collect(Collectors.joining());
      String kept = text.replaceAll("\"!|\\.|\\?|;\"", "");
      assertThat(kept.isEmpty() ? "" : pieces).isEqualTo(kept);
    } else {
      assertThat(bare(String.join("", segments))).isEqualTo(bare(text));
    }

    Set<List<Integer>> named = new HashSet<>();
    report.lostTokens().forEach(token -> named.add(List.of(token.segment(), token.position())));
    assertThat(report.lostTokens()).as("no token is named twice").hasSameSizeAs(named);

    Set<List<Integer>> lost = new HashSet<>();
    int reaching = 0;
    for (EncodingReport.Segment segment : report.segments()) {
      int[] ids = clip.encode(segment.text());
      assertThat(segment.ids()).isEqualTo(Arrays.stream(ids).boxed().toList());
      for (int position = 0; position < ids.length - 1; position++) {
        boolean read = ids.length <= WINDOW || position < WINDOW - 1;
        if (read && ids[position] != clip.eosId() && reaching < LENGTH) {
          reaching++;
        } else {
          lost.add(List.of(segment.index(), position));
        }
      }
    }
    assertThat(report.tokens()).isEqualTo(reaching);

    int[] ids = t5.encode(text);
    assertThat(report.t5().ids()).isEqualTo(Arrays.stream(ids).boxed().toList());
    for (int position = LENGTH - 1; ids.length > LENGTH && position < ids.length - 1; position++) {
      lost.add(List.of(-1, position));
    }
    assertThat(report.t5().kept()).isEqualTo(Math.min(LENGTH, ids.length));
    assertThat(named.equals(lost))
        .as("%d tokens are lost, %d named", lost.size(), named.size())
        .isTrue();
  }

  private static String withoutAddedStop(String segment) {
    return segment.endsWith(".") ? segment.substring(0, segment.length() - 1) : segment;
  }

  /** Splitting at sentences and words may drop or move white space, nothing else. */
  private static String bare(String text) {
    return text.codePoints()
        .filter(c -> !Character.isWhitespace(c) && !Character.isSpaceChar(c))
        .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append)
        .toString();
  }

  private static String randomText(Random random, int words) {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < words; i++) {
      int[] alphabet = ALPHABETS[random.nextInt(ALPHABETS.length)];
      int letters = 1 + random.nextInt(8);
      for (int k = 0; k < letters; k++) {
        text.appendCodePoint(alphabet[0] + random.nextInt(alphabet[1] - alphabet[0] + 1));
      }
      text.append(ENDS[random.nextInt(ENDS.length)]);
    }
    return text.toString();
  }
}
