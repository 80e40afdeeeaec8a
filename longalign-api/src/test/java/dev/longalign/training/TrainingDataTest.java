package dev.longalign.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import dev.longalign.data.CaptionPolicy;
import dev.longalign.data.Dataset;
import dev.longalign.data.Fixtures;
import dev.longalign.data.ParquetColumns;
import dev.longalign.data.TrainingExample;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What one line of text opens, and what it says of that which it cannot. */
class TrainingDataTest {
  @TempDir Path base;

  private TrainingData parse(String source) {
    return TrainingData.parse(source, base);
  }

  private static OptionalLong size(TrainingData data) {
    try (Dataset<TrainingExample> opened = data.open()) {
      return opened.size();
    }
  }

  private static String firstCaption(TrainingData data) {
    try (Dataset<TrainingExample> opened = data.open()) {
      return opened.example(0).caption();
    }
  }

  private void shard(String name, String... captions) {
    Map<String, byte[]> members = new LinkedHashMap<>();
    for (String caption : captions) {
      members.put(caption + ".jpg", Fixtures.bytes("baseline.jpg"));
      members.put(caption + ".txt", caption.getBytes(StandardCharsets.UTF_8));
    }
    Fixtures.tar(base.resolve(name), members);
  }

  @Test
  void panelsWithAndWithoutEnd() {
    assertThat(size(parse("panels"))).isEmpty();
    assertThat(size(parse("panels:short"))).isEmpty();
    assertThat(size(parse("panels:mixed:12"))).hasValue(12);
    assertThat(size(parse(" panels:7 "))).hasValue(7);
    assertThat(parse("panels:7")).hasToString("panels:long:7");
    assertThat(parse(parse("panels:7").toString())).isEqualTo(parse("panels:7"));
    assertThat(parse("panels:short:7").description())
        .isEqualTo("panels (short, seed 0, 7 examples)");
    TrainingData.Options seed = TrainingData.Options.DEFAULT.withSeed(1);
    assertThat(firstCaption(TrainingData.parse("panels", base, seed)))
        .isNotEqualTo(firstCaption(parse("panels")));
    assertThatThrownBy(() -> parse("panels:large"))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("expected panels[:long|short|mixed][:COUNT], found panels:large");
    assertThatThrownBy(() -> parse("panels:long:0")).hasMessageContaining("panels:long:0");
  }

  @Test
  void foldersTarsAndParquetAreTold() throws IOException {
    Fixtures.png(base.resolve("pictures/deep/a.png"), 0xff0000);
    Fixtures.write(base.resolve("pictures/deep/a.txt"), "A red square.");
    assertThat(parse("pictures").kind()).isEqualTo(TrainingData.Kind.FOLDER);
    assertThat(firstCaption(parse("pictures/"))).isEqualTo("A red square.");

    Path parquet = base.resolve("rows/x.parquet");
    Fixtures.write(parquet, Fixtures.bytes("embedded.parquet"));
    Fixtures.png(base.resolve("rows/a.png"), 1);
    TrainingData.Options embedded =
        TrainingData.Options.DEFAULT.withColumns(new ParquetColumns("text", "image"));
    for (String source : new String[] {"rows", "rows/x.parquet", parquet.toString()}) {
      TrainingData data = TrainingData.parse(source, base, embedded);
      assertThat(data.kind()).isEqualTo(TrainingData.Kind.PARQUET);
      assertThat(size(data).getAsLong()).isPositive();
      assertThat(data.description()).contains("1 file, ");
    }

    shard("rows/0.tar", "tar wins");
    assertThat(firstCaption(parse("rows"))).isEqualTo("tar wins");
    assertThat(parse("parquet:rows").kind()).isEqualTo(TrainingData.Kind.PARQUET);
    assertThat(parse("folder:rows").kind()).isEqualTo(TrainingData.Kind.FOLDER);
    assertThat(parse("cache:x").kind()).isEqualTo(TrainingData.Kind.CACHE);
    assertThatThrownBy(() -> parse("cache:x").open()).hasMessageContaining("holds features");
  }

  @Test
  void patternsNameShards() {
    shard("s/part-08.tar", "a", "b");
    shard("s/part-09.tar", "c");
    shard("s/part-10.tar", "d");
    shard("s/other.tar", "e");
    assertThat(size(parse("s/part-{08..10}.tar"))).hasValue(4);
    assertThat(firstCaption(parse("s/part-{09..10}.tar"))).isEqualTo("c");
    assertThat(size(parse("s/{part-09,other}.tar"))).hasValue(2);
    assertThat(size(parse("s/part-*.tar"))).hasValue(4);
    assertThat(size(parse("s"))).hasValue(5);
    assertThat(size(parse("s/other.tar"))).hasValue(1);
    assertThat(size(parse("webdataset:s/part-?8.tar"))).hasValue(2);
    assertThatThrownBy(() -> parse("s/part-{08..13}.tar").open())
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("3 of 6 shards do not exist: [" + base.resolve("s/part-11.tar"));
    assertThatThrownBy(() -> parse("s/x*.tar").open()).hasMessageContaining("matches x*.tar");
    assertThatThrownBy(() -> parse("s*/x.tar").open()).hasMessageContaining("its directory");
    assertThatThrownBy(() -> parse("s/{3..1}.tar").open()).hasMessageContaining("3..1");
    assertThatThrownBy(() -> parse("none/*.tar").open()).hasMessageContaining("cannot be listed");
  }

  /** The same files elsewhere are the same data; another file makes other data. */
  @Test
  void theDescriptionFollowsTheFilesNotThePlace() throws IOException {
    for (String place : new String[] {"one/data", "two/data"}) {
      Fixtures.png(base.resolve(place + "/a.png"), 5);
      Fixtures.write(base.resolve(place + "/a.txt"), "x");
    }
    String before = parse("one/data").description();
    assertThat(before).startsWith("folder data (2 files, ");
    assertThat(parse("two/data").description()).isEqualTo(before);
    Files.writeString(base.resolve("two/data/a.txt"), "longer");
    assertThat(parse("two/data").description()).isNotEqualTo(before);
  }

  @Test
  void whatCannotBeOpenedIsSaid() {
    assertThatThrownBy(() -> parse(" ")).hasMessageContaining("found nothing");
    assertThatThrownBy(() -> parse("missing/place"))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining(base.resolve("missing/place") + " does not exist");
    assertThatThrownBy(() -> parse("https://example.org/x.tar"))
        .hasMessageContaining("nothing is downloaded");
    Fixtures.write(base.resolve("empty/readme.md"), "nothing");
    assertThatThrownBy(() -> parse("empty"))
        .hasMessageContaining("expected .tar shards in it")
        .hasMessageContaining("found none among 1 files");
    Fixtures.write(base.resolve("file.zip"), "PK");
    assertThatThrownBy(() -> parse("file.zip")).hasMessageContaining("found the file");
    Fixtures.png(base.resolve("p/a.png"), 1);
    Fixtures.write(base.resolve("p/a.txt"), "");
    TrainingData.Options keep =
        TrainingData.Options.DEFAULT.withCaptions(new CaptionPolicy(true, 10));
    assertThatThrownBy(() -> firstCaption(parse("p"))).hasMessageContaining("caption is empty");
    assertThat(firstCaption(TrainingData.parse("p", base, keep))).isEmpty();
  }
}
