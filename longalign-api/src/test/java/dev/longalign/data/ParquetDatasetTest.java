package dev.longalign.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Files written by PyArrow, as Hugging Face's datasets have them. */
final class ParquetDatasetTest {
  @TempDir Path directory;

  @ParameterizedTest
  @ValueSource(strings = {"snappy", "zstd", "gzip", "lz4"})
  void readsPathsAndCaptions(String codec) {
    Path cat = Fixtures.unicode(directory, "data/pictures/\u732b \u00fc.png");
    Fixtures.png(cat, 0x00ff00);
    Fixtures.png(directory.resolve("data/pictures/0.png"), 0xff0000);
    Fixtures.png(directory.resolve("outside.png"), 0);
    copy("paths-" + codec + ".parquet", "data/a.parquet");
    try (ParquetDataset dataset = ParquetDataset.open(directory.resolve("data"));
        DataLoader<TrainingExample> loader =
            DataLoader.builder(dataset).shuffle(false).epochs(1).threads(3).build()) {
      assertThat(dataset.size()).hasValue(6);
      List<TrainingExample> examples =
          Fixtures.take(loader, 9).stream().map(batch -> batch.examples().get(0)).toList();
      assertThat(examples)
          .extracting(TrainingExample::caption)
          .containsExactly("First. Picture.", "A cat.");
      assertThat(examples.get(1).picture().value(0, 0, 1)).isEqualTo(255);
      assertThat(examples.get(1).id()).contains("a.parquet row 1 (pictures/\u732b \u00fc.png)");
      assertThat(loader.skipped().skipped()).isEqualTo(4);
      assertThat(loader.skipped().toString())
          .contains("row 2 (pictures/missing.png): ", "no such file")
          .contains("row 3 (../outside.png): the path leads out of")
          .contains("row 4: the row has no picture")
          .contains("row 5 (pictures/0.png): the caption is empty");
    }
  }

  /** A Mac stores the name decomposed; the row has it composed. */
  @Test
  void namesComposedDifferentlyAreFound() {
    Fixtures.png(Fixtures.unicode(directory, "pictures/\u732b u\u0308.png"), 0x00ff00);
    copy("paths-snappy.parquet", "a.parquet");
    try (ParquetDataset dataset = ParquetDataset.open(directory.resolve("a.parquet"))) {
      assertThat(dataset.example(1).picture().value(0, 0, 1)).isEqualTo(255);
    }
  }

  @Test
  void readsEmbeddedPictures() {
    copy("embedded.parquet", "a/0.parquet");
    copy("embedded.parquet", "b/1.parquet");
    ParquetColumns columns = new ParquetColumns("text", "image");
    try (ParquetDataset dataset =
            ParquetDataset.open(directory, directory, columns, CaptionPolicy.DEFAULT);
        DataLoader<TrainingExample> loader =
            DataLoader.builder(dataset).shuffle(false).epochs(1).threads(4).build()) {
      assertThat(dataset.size()).hasValue(10);
      assertThat(Fixtures.take(loader, 20))
          .extracting(batch -> batch.examples().get(0).caption())
          .containsExactly(
              "Picture 0.", "Picture 1.", "Picture 4.", "Picture 0.", "Picture 1.", "Picture 4.");
      assertThat(loader.skipped().toString())
          .contains("0.parquet row 2 (2.png): expected a picture")
          .contains("1.parquet row 3: the row has no picture");
      // the same formula as data_fixtures.py
      RgbPicture fourth = dataset.example(9).picture();
      assertThat(fourth.toString()).isEqualTo("20 x 16");
      assertThat(fourth.value(5, 3, 0)).isEqualTo((int) (127 + 120 * Math.sin(5 / 9.0 + 4)));
      assertThat(fourth.value(5, 3, 2)).isEqualTo(255 * 8 / 36);
    }
  }

  @Test
  void wrongColumnsAreRefusedWithTheRightOnes() {
    copy("embedded.parquet", "x.parquet");
    Path file = directory.resolve("x.parquet");
    assertThatThrownBy(() -> ParquetDataset.open(file))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("x.parquet: no column 'caption' for the captions; it has text, image")
        .hasMessageContaining("Name the right one with captionColumn (--caption-column)");
    assertThatThrownBy(() -> open(file, "text", "pixels"))
        .hasMessageContaining("no column 'pixels' for the pictures");
    assertThatThrownBy(() -> open(file, "image", "text"))
        .hasMessageContaining("column 'image': expected strings");
    copy("paths-gzip.parquet", "y.parquet");
    assertThatThrownBy(() -> open(directory.resolve("y.parquet"), "caption", "id"))
        .hasMessageContaining("column 'id': expected paths, bytes, or a structure");
  }

  @Test
  void codecsThatAreNotThereAreRefusedOnce() {
    copy("paths-brotli.parquet", "b.parquet");
    assertThatThrownBy(() -> ParquetDataset.open(directory.resolve("b.parquet")))
        .isInstanceOf(LongAlignException.class)
        .hasMessageEndingWith(
            "b.parquet: column 'path' is compressed with BROTLI, which is not read here; write it"
                + " with one of [UNCOMPRESSED, SNAPPY, GZIP, ZSTD, LZ4_RAW]");
  }

  private static void open(Path file, String caption, String picture) {
    ParquetDataset.open(
            file, file.getParent(), new ParquetColumns(caption, picture), CaptionPolicy.DEFAULT)
        .close();
  }

  @Test
  void brokenFilesAreRefusedByName() {
    byte[] whole = Fixtures.bytes("paths-snappy.parquet");
    Path file = directory.resolve("cut.parquet");
    for (int length : new int[] {0, 3, 100, whole.length / 2, whole.length - 1}) {
      Fixtures.write(file, Arrays.copyOf(whole, length));
      assertThatThrownBy(() -> ParquetDataset.open(file))
          .as("%s bytes", length)
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("cut.parquet: not a readable Parquet file");
    }
    assertThatThrownBy(() -> ParquetDataset.open(directory.resolve("none.parquet")))
        .hasMessageContaining("no such file or directory");
    assertThatThrownBy(
            () -> ParquetDataset.open(Fixtures.png(directory.resolve("d/a.png"), 0).getParent()))
        .hasMessageContaining("no .parquet files");
  }

  /** Damage in the data, not the footer: the rows of that group are skipped, each by name. */
  @Test
  void aDamagedRowGroupIsSkippedByName() {
    byte[] bytes = Fixtures.bytes("paths-snappy.parquet");
    Arrays.fill(bytes, 4, 60, (byte) 0xff);
    Fixtures.write(directory.resolve("a.parquet"), bytes);
    Fixtures.png(directory.resolve("pictures/0.png"), 0xff0000);
    try (ParquetDataset dataset = ParquetDataset.open(directory)) {
      assertThatThrownBy(() -> dataset.example(0))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("a.parquet row 0: its row group is damaged");
      assertThatThrownBy(() -> dataset.example(4)).hasMessageContaining("the row has no picture");
    }
  }

  private void copy(String fixture, String to) {
    Fixtures.write(directory.resolve(to), Fixtures.bytes(fixture));
    assertThat(Files.exists(directory.resolve(to))).isTrue();
  }
}
