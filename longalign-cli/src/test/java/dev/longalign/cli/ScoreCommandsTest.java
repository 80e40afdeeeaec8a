package dev.longalign.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.longalign.EmbeddedModel;
import dev.longalign.io.PictureFile;
import dev.longalign.preference.CommonDirection;
import dev.longalign.tensor.Golden;
import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code score}, {@code eta} and {@code sample --best-of} with the small Denscore in the jar. */
final class ScoreCommandsTest {
  private static final Golden MINI =
      Golden.open(
          Golden.miniFolder().resolve("reference.json"),
          Golden.miniFolder().resolve("reference.safetensors"));

  @TempDir Path temp;

  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  /** The mini model's reference pictures, 0.png to 3.png. */
  private List<Path> pictures() throws Exception {
    float[] values = MINI.floats("decoded_image");
    Path directory = Files.createDirectories(temp.resolve("pictures"));
    List<Path> files = new ArrayList<>();
    for (int b = 0; b < 4; b++) {
      BufferedImage image = new BufferedImage(96, 96, BufferedImage.TYPE_INT_RGB);
      for (int i = 0; i < 96 * 96; i++) {
        int rgb = 0;
        for (int c = 0; c < 3; c++) {
          float unit = Math.min(1, Math.max(0, values[(b * 3 + c) * 96 * 96 + i] / 2 + 0.5f));
          rgb = rgb << 8 | Math.round(unit * 255);
        }
        image.setRGB(i % 96, i / 96, rgb);
      }
      Path file = directory.resolve(b + ".png");
      PictureFile.writePng(file, image, Map.of());
      files.add(file);
    }
    return files;
  }

  private Path captions() throws Exception {
    List<String> lines = new ArrayList<>();
    for (JsonElement prompt : MINI.description().getAsJsonArray("prompts")) {
      lines.add(prompt.getAsString());
    }
    return Files.write(temp.resolve("captions.txt"), lines.subList(0, 4));
  }

  @Test
  void scoresAreTheReferencesAndSentencesAreInOrder() throws Exception {
    List<String> arguments = new ArrayList<>(List.of("score", "--json", "--caption-file"));
    arguments.add(captions().toString());
    pictures().forEach(picture -> arguments.add(picture.toString()));
    assertThat(run(arguments.toArray(String[]::new))).as(err.toString()).isEqualTo(ExitCode.OK);
    String[] lines = out.toString().strip().split("\n");
    assertThat(lines).hasSize(4);
    for (int i = 0; i < 4; i++) {
      JsonObject report = JsonParser.parseString(lines[i]).getAsJsonObject();
      double score = report.get("score").getAsDouble();
      assertThat(score)
          .isCloseTo(
              MINI.description().getAsJsonArray("denscore").get(i).getAsDouble(), within(5e-4));
      double relevant = report.get("relevant").getAsDouble();
      double irrelevant = report.get("irrelevant").getAsDouble();
      assertThat(relevant + irrelevant).isCloseTo(score, within(1e-9));
      assertThat(report.get("scoreO").getAsDouble())
          .isCloseTo(relevant + 0.3 * irrelevant, within(1e-6));
      double last = -1;
      for (JsonElement sentence : report.getAsJsonArray("sentences")) {
        double next = sentence.getAsJsonObject().get("score").getAsDouble();
        assertThat(next).isGreaterThanOrEqualTo(last);
        last = next;
      }
    }
  }

  @Test
  void theSentenceThatThePictureMissesComesFirst() throws Exception {
    String right = MINI.description().getAsJsonArray("prompts").get(0).getAsString();
    String wrong = "The lower right cell holds a large red cross with crisp, even edges.";
    String picture = pictures().get(0).toString();
    assertThat(run("score", picture, "--caption", right + " " + wrong)).isEqualTo(ExitCode.OK);
    String[] lines = out.toString().split("\n");
    assertThat(lines[0]).contains("score ", "score-O ", "text-relevant ", "eta ");
    assertThat(lines[1]).contains("large red cross");

    // As one text, the caption is cut at 77 tokens; its sentences are not.
    assertThat(run("score", picture, "--caption", right + " " + wrong, "--whole"))
        .isEqualTo(ExitCode.OK);
    assertThat(out.toString().split("\n")[1]).contains("tokens of the caption are not read");
    assertThat(out.toString().split("\n")[2]).contains("large red cross");
  }

  @Test
  void aPictureWithoutCaptionSaysSo() throws Exception {
    assertThat(run("score", pictures().get(0).toString())).isEqualTo(ExitCode.FAILED);
    assertThat(err.toString()).contains("0.png", "--caption");
    assertThat(run("score", "x.png", "--caption", "a", "--caption-file", "b"))
        .isEqualTo(ExitCode.USAGE);
    assertThat(run("score", pictures().get(0).toString(), "--caption", "a", "--omega", "2"))
        .isEqualTo(ExitCode.FAILED);
    assertThat(err.toString()).contains("--omega: expected a number from 0 to 1");
  }

  @Test
  void etaWritesAPageWithPicturesAndADirection() throws Exception {
    pictures();
    Path eta = temp.resolve("eta");
    assertThat(
            run(
                "eta",
                captions().toString(),
                "--pictures",
                temp.resolve("pictures").toString(),
                "--bins",
                "5",
                "--out",
                eta.toString()))
        .as(err.toString())
        .isEqualTo(ExitCode.OK);
    assertThat(out.toString()).contains("4 captions: eta 0.", "correlation with the score");
    assertThat(err.toString()).contains("4 captions are too few: below 16");
    JsonObject report =
        JsonParser.parseString(Files.readString(eta.resolve("eta.json"))).getAsJsonObject();
    assertThat(report.getAsJsonArray("etas")).hasSize(4);
    JsonArray counts = report.getAsJsonObject("histogram").getAsJsonArray("counts");
    int total = 0;
    for (JsonElement count : counts) {
      total += count.getAsInt();
    }
    assertThat(total).isEqualTo(4);
    String page = Files.readString(eta.resolve("eta.html"));
    assertThat(page).doesNotContain("{{", "http://", "https://", "<script");
    Matcher plots = Pattern.compile("base64,([^\"]+)\"").matcher(page);
    int found = 0;
    while (plots.find()) {
      byte[] png = Base64.getDecoder().decode(plots.group(1));
      assertThat(ImageIO.read(new ByteArrayInputStream(png)).getWidth()).isEqualTo(900);
      found++;
    }
    assertThat(found).isEqualTo(2);

    Path common = eta.resolve(Scoring.COMMON_FILE);
    assertThat(CommonDirection.read(common).captions()).isEqualTo(4);
    assertThat(
            run(
                "score",
                temp.resolve("pictures/1.png").toString(),
                "--caption",
                "A red circle.",
                "--common",
                common.toString(),
                "--json"))
        .isEqualTo(ExitCode.OK);
    assertThat(
            JsonParser.parseString(out.toString())
                .getAsJsonObject()
                .get("commonDirection")
                .getAsString())
        .isEqualTo(common.toString());
  }

  @Test
  void bestOfKeepsOnePicture() throws Exception {
    Path target = temp.resolve("best.png");
    String[] arguments = {
      "sample",
      "A large red circle sits in the center of the picture. The backdrop is white.",
      "--steps",
      "2",
      "--best-of",
      "3",
      "--by",
      "worst-sentence",
      "--json",
      "--out",
      target.toString()
    };
    assertThat(run(arguments)).as(err.toString()).isEqualTo(ExitCode.OK);
    JsonObject report = JsonParser.parseString(out.toString().strip()).getAsJsonObject();
    JsonObject choice = report.getAsJsonObject("bestOf");
    JsonArray scores = choice.getAsJsonArray("scores");
    assertThat(scores).hasSize(3);
    double best =
        scores.get(choice.get("index").getAsInt()).getAsJsonObject().get("value").getAsDouble();
    for (JsonElement score : scores) {
      assertThat(score.getAsJsonObject().get("value").getAsDouble()).isLessThanOrEqualTo(best);
    }
    assertThat(report.get("seed").getAsLong()).isEqualTo(42 + choice.get("index").getAsInt());
    assertThat(target).exists();
    // The prompt inside the picture serves as its caption.
    assertThat(run("score", target.toString(), "--json")).as(err.toString()).isEqualTo(ExitCode.OK);
    JsonObject again = JsonParser.parseString(out.toString().strip()).getAsJsonObject();
    double worst =
        again.getAsJsonArray("sentences").get(0).getAsJsonObject().get("score").getAsDouble();
    assertThat(worst).isCloseTo(best, within(1e-6));

    assertThat(run("sample", "p", "--images", "2", "--best-of", "2")).isEqualTo(ExitCode.USAGE);
    assertThat(err.toString()).contains("found both");
  }

  @Test
  void aModelOfItsOwnNeedsAScorerOfItsOwn() throws Exception {
    Path model = Files.createDirectories(temp.resolve("model"));
    Path embedded = EmbeddedModel.directory();
    try (Stream<Path> parts = Files.list(embedded)) {
      for (Path part : parts.filter(p -> !p.endsWith("denscore")).toList()) {
        Files.createSymbolicLink(model.resolve(part.getFileName()), part);
      }
    }
    String[] arguments = {
      "sample", "p", "--best-of", "2", "--steps", "1", "--model", model.toString()
    };
    assertThat(run(arguments)).isEqualTo(ExitCode.FAILED);
    assertThat(err.toString()).contains("name one with --scorer");
    try (Stream<Path> links = Files.list(model)) {
      for (Path link : links.toList()) {
        Files.delete(link);
      }
    }
  }

  private int run(String... arguments) {
    out.getBuffer().setLength(0);
    err.getBuffer().setLength(0);
    return Main.commandLine(new PrintWriter(out), new PrintWriter(err)).execute(arguments);
  }
}
