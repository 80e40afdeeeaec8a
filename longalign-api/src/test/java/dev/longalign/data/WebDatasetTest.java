package dev.longalign.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class WebDatasetTest {
  @TempDir Path directory;

  @Test
  void readsSamplesOfSeveralShards() {
    Path first =
        shard("0.tar", sample("a/000", "txt", "First."), sample("a/001", "json", "Second."));
    String name = "\u732b".repeat(60); // too long for a plain header, and not ASCII
    Path second = shard("1.tar", sample(name, "txt", "Third."), Map.of("notes.md", new byte[9]));
    try (WebDataset dataset = WebDataset.open(List.of(first, second))) {
      assertThat(dataset.size()).hasValue(3);
      assertThat(dataset.example(2).caption()).isEqualTo("Third.");
      assertThat(dataset.example(2).id()).endsWith("1.tar:" + name);
      assertThat(dataset.example(0).caption()).isEqualTo("First.");
      assertThat(dataset.example(1).caption()).isEqualTo("Second.");
      assertThat(dataset.example(1).picture())
          .isEqualTo(RgbPicture.read("", Fixtures.bytes("baseline.jpg")));
      assertThat(dataset.source()).endsWith("0.tar and 1 more shards");
    }
  }

  @Test
  void brokenSamplesAreNamed() {
    Map<String, byte[]> sample = sample("ok", "txt", "Fine.");
    Path shard =
        shard(
            "x.tar",
            sample,
            Map.of("no-picture.txt", utf8("x")),
            Map.of("no-caption.jpg", Fixtures.bytes("baseline.jpg")),
            new LinkedHashMap<>(Map.of("broken.jpg", utf8("not a jpeg"), "broken.txt", utf8("x"))));
    try (WebDataset dataset = WebDataset.open(List.of(shard));
        DataLoader<TrainingExample> loader =
            DataLoader.builder(dataset).shuffle(false).epochs(1).build()) {
      assertThat(Fixtures.take(loader, 9)).hasSize(1);
      assertThat(loader.skipped().named())
          .extracting(Skip::reason)
          .containsExactly(
              shard + ":no-picture: no picture (.jpg, .png or .webp) of that name up to a dot",
              shard + ":no-caption: no caption (.txt, .caption or .json) of that name up to a dot",
              shard
                  + ":broken: expected a picture (PNG, JPEG, WebP, GIF, BMP or TIFF), found something else");
    }
  }

  /** A first dot that is part of the name, halves that are no neighbours, and what is left over. */
  @Test
  void everyFileBelongsToAnExampleOrIsNamed() {
    Map<String, byte[]> dotted = sample("photo v1.5", "txt", "One.");
    dotted.putAll(sample("photo v1.6", "caption", "Two."));
    Map<String, byte[]> first = new LinkedHashMap<>();
    Map<String, byte[]> second = new LinkedHashMap<>();
    for (String key : List.of("x", "y.0", "y.1")) {
      first.put(key + ".jpg", Fixtures.bytes("baseline.jpg"));
      second.put(key + ".txt", utf8("Of " + key));
    }
    Map<String, byte[]> rest = new LinkedHashMap<>();
    rest.put("._x.jpg", utf8("a Mac's"));
    rest.put("LICENSE", utf8("free"));
    rest.put("notes\u001b[2J.md", utf8("notes"));
    rest.put("alone.jpg", Fixtures.bytes("baseline.jpg"));
    Path shard = shard("u.tar", dotted, first, second, rest);
    TarSamples samples = new TarSamples();
    try (WebDataset dataset = WebDataset.open(List.of(shard))) {
      List<String> captions = new ArrayList<>();
      for (int i = 0; i < 5; i++) {
        captions.add(dataset.example(i).caption());
        assertThat(dataset.example(i).picture().width()).isEqualTo(40);
      }
      assertThat(captions).containsExactly("One.", "Two.", "Of x", "Of y.0", "Of y.1");
      assertThat(dataset.size()).hasValue(6);
      assertThatThrownBy(() -> dataset.example(5)).hasMessageContaining("alone: no caption");
    }
    first.keySet().forEach(name -> samples.add(new TarSamples.Member(name, 0, 1)));
    second.keySet().forEach(name -> samples.add(new TarSamples.Member(name, 0, 1)));
    samples.unused("LICENSE", "without an ending");
    samples.add(new TarSamples.Member("a\u001b.md", 0, 1));
    samples.endGroup(false);
    assertThat(samples.remarks())
        .isEqualTo(
            "3 examples were put together from files that are not next to each other; pack with"
                + " tar --sort=name; 2 files belong to no example: LICENSE (without an ending),"
                + " a?.md (neither a picture nor a caption)");
  }

  /** A file that was appended again replaces the earlier one, as tar unpacks it. */
  @Test
  void theLastOfRepeatedFilesCounts() {
    TarSamples samples = new TarSamples();
    for (String name : List.of("a.jpg", "a.txt", "a.txt", "b.txt", "b.jpg")) {
      samples.add(new TarSamples.Member(name, samples.samples().size(), 1));
    }
    samples.endGroup(false);
    assertThat(samples.samples()).hasSize(2).allMatch(TarSamples.Sample::isWhole);
    assertThat(samples.remarks()).isEqualTo("1 file belongs to no example: a.txt (repeated)");
  }

  @Test
  void captionsAreTextsAsElsewhere() {
    Map<String, byte[]> members = new LinkedHashMap<>();
    members.put("0.jpg", Fixtures.bytes("baseline.jpg"));
    members.put("0.txt", utf8("\uFEFFMarked."));
    members.put("1.jpg", Fixtures.bytes("baseline.jpg"));
    members.put("1.txt", "Wide.".getBytes(StandardCharsets.UTF_16));
    try (WebDataset dataset = WebDataset.open(List.of(shard("t.tar", members)))) {
      assertThat(dataset.example(0).caption()).isEqualTo("Marked.");
      assertThatThrownBy(() -> dataset.example(1))
          .hasMessageEndingWith("t.tar:1 is UTF-16; save it as UTF-8");
    }
  }

  /** Wherever a download stopped: what is whole is used, and the damage is reported. */
  @Test
  void aTruncatedShardGivesWhatIsWhole() {
    Path whole =
        shard(
            "whole.tar",
            sample("0", "txt", "Zero."),
            sample("1", "txt", "One."),
            sample("2", "txt", "Two."));
    byte[] bytes = Fixtures.read(whole);
    for (int length = 4200; length < bytes.length - 2048; length += 384) {
      Path cut = Fixtures.write(directory.resolve("cut.tar"), Arrays.copyOf(bytes, length));
      List<String> captions = new ArrayList<>();
      try (WebDataset dataset = WebDataset.open(List.of(cut));
          DataLoader<TrainingExample> loader =
              DataLoader.builder(dataset).shuffle(false).epochs(1).build()) {
        Fixtures.take(loader, 9).forEach(b -> captions.add(b.examples().get(0).caption()));
        assertThat(List.of("Zero.", "One.", "Two.")).startsWith(captions.toArray(new String[0]));
        assertThat(captions).as("%s bytes", length).isNotEmpty();
        assertThat(loader.skipped().toString())
            .as("%s bytes", length)
            .contains("1 skipped")
            .contains("cut.tar: damaged after " + captions.size())
            .contains("the rest is lost");
      }
    }
  }

  @Test
  void whatIsNoShardIsRefused() throws IOException {
    byte[] start = Arrays.copyOf(Fixtures.read(shard("z.tar", sample("0", "txt", "x"))), 900);
    Path cut = Fixtures.write(directory.resolve("z.tar"), start);
    assertThatThrownBy(() -> WebDataset.open(List.of(cut)))
        .hasMessageContaining("z.tar: no samples in it")
        .hasMessageContaining("an incomplete download?");
    Path missing = directory.resolve("missing.tar");
    assertThatThrownBy(() -> WebDataset.open(List.of(missing)))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("missing.tar: expected a tar shard, found no such file");
    Path page = Fixtures.write(directory.resolve("page.tar"), "<html>".repeat(500));
    assertThatThrownBy(() -> WebDataset.open(List.of(page))).hasMessageContaining("no samples");
    ByteArrayOutputStream packed = new ByteArrayOutputStream();
    try (OutputStream gzip = new GZIPOutputStream(packed)) {
      gzip.write(Fixtures.read(shard("y.tar", sample("0", "txt", "x"))));
    }
    Path compressed = Fixtures.write(directory.resolve("y.tar.gz"), packed.toByteArray());
    assertThatThrownBy(() -> WebDataset.open(List.of(compressed)))
        .hasMessageContaining("is compressed with gzip")
        .hasMessageContaining("gunzip");
    assertThatThrownBy(() -> WebDataset.open(List.of())).hasMessageContaining("no samples");
  }

  private static byte[] utf8(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private static Map<String, byte[]> sample(String key, String extension, String caption) {
    Map<String, byte[]> files = new LinkedHashMap<>();
    files.put(key + ".jpg", Fixtures.bytes("baseline.jpg"));
    files.put(key + ".seg.png", utf8("something else of this sample"));
    files.put(
        key + "." + extension,
        utf8(extension.equals("json") ? "{\"caption\": \"" + caption + "\"}" : caption));
    return files;
  }

  @SafeVarargs
  private Path shard(String name, Map<String, byte[]>... samples) {
    Map<String, byte[]> members = new LinkedHashMap<>();
    for (Map<String, byte[]> sample : samples) {
      members.putAll(sample);
    }
    return Fixtures.tar(directory.resolve(name), members);
  }
}
