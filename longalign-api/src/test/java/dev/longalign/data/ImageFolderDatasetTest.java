package dev.longalign.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class ImageFolderDatasetTest {
  @TempDir Path directory;

  @Test
  void readsPicturesWithCaptionsBesideThem() {
    Fixtures.png(directory.resolve("b/two.png"), 0x0000ff);
    Fixtures.write(directory.resolve("b/two.json"), "{\"caption\": \"A blue one.\", \"w\": 4}");
    Fixtures.png(directory.resolve("a.PNG"), 0xff0000);
    Fixtures.write(directory.resolve("a.txt"), "\uFEFF A red one.\n\nIndeed. \n");
    Fixtures.write(directory.resolve("c.webp"), Fixtures.bytes("lossless.webp"));
    Fixtures.write(directory.resolve("c.txt"), "Waves.");
    Fixtures.write(directory.resolve("README.txt"), "no caption");
    Fixtures.png(directory.resolve(".hidden/x.png"), 0);
    ImageFolderDataset dataset = ImageFolderDataset.open(directory);
    assertThat(dataset.size()).hasValue(3);
    assertThat(captions(dataset)).containsExactly("A red one.Indeed.", "A blue one.", "Waves.");
    assertThat(dataset.example(0).picture().value(2, 1, 0)).isEqualTo(255);
    assertThat(dataset.example(1).picture().value(2, 1, 2)).isEqualTo(255);
    assertThat(dataset.example(1).id()).endsWith("two.png");
  }

  @Test
  void unicodeNamesAreRead() {
    Path picture = Fixtures.unicode(directory, "\u732b und K\u00e4tzchen \ud83d\ude3a.png");
    Fixtures.png(picture, 0x010203);
    Fixtures.write(
        Fixtures.unicode(directory, "\u732b und K\u00e4tzchen \ud83d\ude3a.txt"),
        "Ein K\u00e4tzchen.");
    assertThat(ImageFolderDataset.open(directory).example(0).caption())
        .isEqualTo("Ein K\u00e4tzchen.");
  }

  @Test
  void whatCannotBeUsedIsSkippedCountedAndNamed() throws IOException {
    Fixtures.png(directory.resolve("good.png"), 1);
    Fixtures.write(directory.resolve("good.txt"), "Good.");
    byte[] jpeg = Fixtures.bytes("baseline.jpg");
    Fixtures.write(directory.resolve("cut.jpg"), Arrays.copyOf(jpeg, jpeg.length / 2));
    Fixtures.write(directory.resolve("cut.txt"), "Cut.");
    Fixtures.write(directory.resolve("none.jpg"), jpeg);
    Fixtures.write(directory.resolve("empty.jpg"), jpeg);
    Fixtures.write(directory.resolve("empty.txt"), " \n\n ");
    Fixtures.write(directory.resolve("page.jpg"), "<html>404</html>");
    Fixtures.write(directory.resolve("page.txt"), "A page.");
    Fixtures.write(directory.resolve("latin.jpg"), jpeg);
    Fixtures.write(directory.resolve("latin.txt"), new byte[] {'K', (byte) 0xe4});
    Fixtures.write(directory.resolve("key.jpg"), jpeg);
    Fixtures.write(directory.resolve("key.json"), "{\"text\": \"x\"}");
    Fixtures.write(directory.resolve("kind.jpg"), jpeg);
    Fixtures.write(directory.resolve("kind.json"), "{\"caption\": 7}");
    Fixtures.write(directory.resolve("json.jpg"), jpeg);
    Fixtures.write(directory.resolve("json.json"), "{\"caption\": ");
    Fixtures.write(directory.resolve("gone.jpg"), jpeg);
    Fixtures.write(directory.resolve("gone.txt"), "Gone.");
    Files.createDirectories(directory.resolve("folder.jpg"));
    Fixtures.write(directory.resolve("folder.txt"), "A folder.");
    ImageFolderDataset dataset = ImageFolderDataset.open(directory);
    Files.delete(directory.resolve("gone.jpg"));
    try (DataLoader<TrainingExample> loader =
        DataLoader.builder(dataset).epochs(1).threads(2).build()) {
      assertThat(Fixtures.take(loader, 100))
          .extracting(batch -> batch.examples().get(0).caption())
          .containsExactly("Good.");
      SkipReport report = loader.skipped();
      assertThat(report.skipped()).isEqualTo(10);
      List<String> reasons = report.named().stream().map(Skip::reason).toList();
      assertThat(reasons).allMatch(reason -> reason.startsWith(directory.toString()));
      assertThat(String.join("\n", reasons))
          .contains("cut.jpg: ")
          .contains(
              "none.jpg: no caption; expected none.txt, .caption or .json beside it, or a line in")
          .contains("empty.jpg: the caption is empty")
          .contains(
              "page.jpg: expected a picture (PNG, JPEG, WebP, GIF, BMP or TIFF), found a web page")
          .contains("latin.txt: line 1 is not valid UTF-8; save it as UTF-8")
          .contains("key.json: expected a JSON object with the key 'caption'")
          .contains("kind.json: the caption under 'caption' is not a string")
          .contains("json.json: not valid JSON")
          .contains("gone.jpg: no such file")
          .contains("folder.jpg is no file");
    }
  }

  /** The tables of Hugging Face's image folders, and captions as kohya's scripts have them. */
  @Test
  void captionsAreReadFromTablesToo() {
    Fixtures.png(directory.resolve("a/0.png"), 0);
    Fixtures.png(directory.resolve("a/deep/1.png"), 0);
    Fixtures.png(directory.resolve("a/2.png"), 0);
    Fixtures.write(directory.resolve("a/2.txt"), "Beside.");
    Fixtures.write(
        directory.resolve("a/metadata.jsonl"),
        "\uFEFF{\"file_name\": \"0.png\", \"text\": \"In a table.\", \"w\": 4}\r\n\n"
            + "{\"file_name\": \"deep/1.png\", \"caption\": \"By the key.\", \"text\": \"Not.\"}\n"
            + "{\"file_name\": \"2.png\", \"text\": \"Not this one.\"}\n"
            + "{\"file_name\": \"gone.png\", \"text\": \"Gone.\"}");
    Fixtures.png(directory.resolve("b/3.png"), 0);
    Fixtures.png(directory.resolve("b/4, four.png"), 0);
    Fixtures.write(
        directory.resolve("b/metadata.csv"),
        "text,file_name\r\n\"Said \"\"three\"\",\non two lines.\",3.png\r\n"
            + "Plain.,\"4, four.png\"\r\n");
    Fixtures.png(directory.resolve("c/5.png"), 0);
    Fixtures.write(directory.resolve("c/5.caption"), "Kohya's.");
    ImageFolderDataset dataset = ImageFolderDataset.open(directory);
    assertThat(dataset.size()).hasValue(7);
    assertThat(dataset.example(0).caption()).isEqualTo("In a table.");
    assertThat(dataset.example(1).caption()).isEqualTo("Beside.");
    assertThat(dataset.example(2).caption()).isEqualTo("By the key.");
    assertThatThrownBy(() -> dataset.example(3)).hasMessageEndingWith("gone.png: no such file");
    assertThat(dataset.example(4).caption()).isEqualTo("Said \"three\",\non two lines.");
    assertThat(dataset.example(5).caption()).isEqualTo("Plain.");
    assertThat(dataset.example(6).caption()).isEqualTo("Kohya's.");
  }

  @Test
  void tablesAreRefusedByLine() {
    Fixtures.png(directory.resolve("0.png"), 0);
    refusesTable("metadata.jsonl", "{}\n", "line 1: expected 'file_name', found ");
    String good = "{\"file_name\": \"0.png\", \"text\": \"x\"}\n";
    refusesTable("metadata.jsonl", good + "{\"file_name\"", "line 2: not valid JSON");
    refusesTable("metadata.jsonl", good + "[]", "line 2: expected a JSON object");
    refusesTable(
        "metadata.jsonl",
        good + "{\"file_name\": \"0.png\", \"label\": 3}",
        "line 2: expected 'caption' or 'text', found file_name, label");
    refusesTable(
        "metadata.jsonl", "{\"file_name\": \"../0.png\", \"text\": \"x\"}", "leads out of");
    refusesTable(
        "metadata.jsonl", "{\"file_name\": \"a\\u0000\", \"text\": \"x\"}", "is no path of a file");
    refusesTable("metadata.jsonl", "{\"file_name\": 5, \"text\": \"x\"}", "is not a string");
    refusesTable("metadata.csv", "file_name,label\n0.png,3\n", "line 2: expected 'caption' or");
    Fixtures.write(directory.resolve("metadata.jsonl"), good);
    refusesTable("metadata.csv", "file_name,text\n0.png,x\n", "expected one table of captions");
  }

  private void refusesTable(String name, String text, String message) {
    Path table = Fixtures.write(directory.resolve(name), text);
    assertThatThrownBy(() -> ImageFolderDataset.open(directory))
        .isExactlyInstanceOf(LongAlignException.class)
        .hasMessageContaining(message);
    table.toFile().delete();
  }

  @Test
  void whatIsThereInsteadOfACaptionIsNamed() {
    Fixtures.png(directory.resolve("0.png"), 0);
    Fixtures.write(directory.resolve("0.tags"), "cat");
    Fixtures.write(directory.resolve("1.heic"), "....ftypheic....");
    Fixtures.write(directory.resolve("1.txt"), "A phone's photo.");
    ImageFolderDataset dataset = ImageFolderDataset.open(directory);
    assertThatThrownBy(() -> dataset.example(0))
        .hasMessageEndingWith("metadata.jsonl or metadata.csv; 0.tags there is not read");
    assertThatThrownBy(() -> dataset.example(1))
        .hasMessageContaining("found HEIF, AVIF or a video");
  }

  @Test
  void emptyAndEndlessCaptionsFollowThePolicy() {
    Fixtures.png(directory.resolve("a.png"), 1);
    Fixtures.write(directory.resolve("a.txt"), "");
    Fixtures.png(directory.resolve("b.png"), 1);
    Fixtures.write(directory.resolve("b.txt"), "A word. ".repeat(5000));
    CaptionPolicy keep = new CaptionPolicy(true, 20_000);
    ImageFolderDataset whole = ImageFolderDataset.open(directory, keep, "caption");
    assertThat(whole.example(0).caption()).isEmpty();
    assertThat(whole.example(1).caption()).hasSize(8 * 5000 - 1);
    assertThat(whole.example(1).droppedWords()).isZero();
    TrainingExample cut = ImageFolderDataset.open(directory).example(1);
    assertThat(cut.caption()).isEqualTo("A word. ".repeat(1000).trim());
    assertThat(cut.droppedWords()).isEqualTo(8000);
  }

  @Test
  void directoriesWithoutPicturesAreRefused() {
    assertThatThrownBy(() -> ImageFolderDataset.open(directory))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("no pictures (.jpg, .png or .webp)");
    assertThatThrownBy(() -> ImageFolderDataset.open(directory.resolve("nowhere")))
        .hasMessageContaining("expected a directory of pictures");
  }

  private static List<String> captions(Dataset<TrainingExample> dataset) {
    List<String> captions = new ArrayList<>();
    for (long i = 0; i < dataset.size().getAsLong(); i++) {
      captions.add(dataset.example(i).caption());
    }
    return captions;
  }
}
