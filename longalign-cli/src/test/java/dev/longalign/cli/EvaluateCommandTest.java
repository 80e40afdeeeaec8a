package dev.longalign.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.longalign.data.panels.CaptionedScene;
import dev.longalign.data.panels.HeldOut;
import dev.longalign.io.PictureFile;
import java.awt.image.BufferedImage;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class EvaluateCommandTest {
  @TempDir Path temp;

  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  private int run(String... arguments) {
    out.getBuffer().setLength(0);
    err.getBuffer().setLength(0);
    return Main.commandLine(new PrintWriter(out), new PrintWriter(err)).execute(arguments);
  }

  private JsonObject json() {
    return JsonParser.parseString(out.toString().strip()).getAsJsonObject();
  }

  /** What the reference scored them with: the preference model agrees on the real pictures. */
  @Test
  void rendersAreAsGoodAsItGets() {
    assertThat(run("evaluate", "--renders", "--captions", "short", "--json"))
        .as(err.toString())
        .isEqualTo(ExitCode.OK);
    assertThat(json().get("right").getAsInt()).isEqualTo(149);
    assertThat(json().has("sampling")).isFalse();
    JsonObject evaluation = json().getAsJsonObject("evaluation");
    assertThat(evaluation.get("pictures").getAsInt()).isEqualTo(64);
    JsonObject scores = evaluation.getAsJsonObject("scores");
    double denscore = scores.get("denscore").getAsDouble();
    assertThat(denscore).isCloseTo(0.20234893, within(1e-4));
    assertThat(scores.get("relevant").getAsDouble() + scores.get("irrelevant").getAsDouble())
        .isCloseTo(denscore, within(1e-9));
    assertThat(evaluation.getAsJsonObject("quality").get("edgeDistance").getAsDouble()).isZero();
  }

  /** V is that of all held-out captions, however few are evaluated. */
  @Test
  void keepsPicturesAndTakesOtherCaptions() throws Exception {
    Path file = temp.resolve("scenes.json");
    CaptionedScene.write(file, HeldOut.longCaptions().subList(0, 3));
    Path pictures = temp.resolve("pictures");
    String[] few = {
      "evaluate",
      "--captions",
      file.toString(),
      "--limit",
      "2",
      "--steps",
      "2",
      "--pictures",
      pictures.toString(),
      "--json"
    };
    assertThat(run(few)).as(err.toString()).isEqualTo(ExitCode.OK);
    JsonObject sampling = json().getAsJsonObject("sampling");
    assertThat(sampling.get("steps").getAsInt()).isEqualTo(2);
    assertThat(sampling.get("guidanceScale").getAsFloat()).isEqualTo(3);
    assertThat(sampling.get("encoding").getAsString()).isEqualTo("longalign");
    assertThat(PictureFile.texts(pictures.resolve("01.png")))
        .containsEntry("Description", HeldOut.longCaptions().get(1).caption());
    assertThat(PictureFile.readRgb(pictures.resolve("contact-sheet.png")).getWidth())
        .isEqualTo(2 * 100 + 4);
    // After two steps nothing is right yet: some cell is framed, corner by corner.
    BufferedImage sheet = PictureFile.readRgb(pictures.resolve("contact-sheet.png"));
    assertThat(
            IntStream.range(0, 9)
                .filter(c -> sheet.getRGB(4 + c % 3 * 32, 4 + c / 3 * 32) == 0xFFFF0000))
        .isNotEmpty();
    assertThat(run("evaluate", "--renders", "--limit", "2")).isEqualTo(ExitCode.OK);
    assertThat(out.toString())
        .contains("(100.0 %)", "Denscore-O", "edge distance    0.00", "rendered");
  }

  @Test
  void badOptionsAreNamed() throws Exception {
    assertThat(run("evaluate", "--renders", "--limit", "0")).isEqualTo(ExitCode.FAILED);
    assertThat(err.toString()).contains("--limit: expected at least 1");
    Path empty = Files.writeString(temp.resolve("empty.json"), "[]");
    assertThat(run("evaluate", "--captions", empty.toString())).isEqualTo(ExitCode.FAILED);
    assertThat(err.toString()).contains("empty.json", "an empty list");
    assertThat(run("evaluate", "--captions", temp.resolve("none.json").toString()))
        .isEqualTo(ExitCode.FAILED);
    assertThat(err.toString()).contains("none.json");
  }
}
