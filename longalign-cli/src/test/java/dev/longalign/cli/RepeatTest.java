package dev.longalign.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonParser;
import dev.longalign.EmbeddedModel;
import dev.longalign.io.PictureFile;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A picture's settings make it again, or say what is not as it was. */
final class RepeatTest {
  private static final String PROMPT = "It's a large \"red\" circle; $HOME `ls` \\ in the\ncenter.";

  @TempDir Path temp;

  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();
  private Path lora;
  private Path picture;
  private Path again;

  @BeforeEach
  void files() throws IOException {
    lora = temp.resolve("my lora's.pt");
    Files.copy(EmbeddedModel.directory().resolve("sd15-reward.pt"), lora);
    Files.setLastModifiedTime(lora, FileTime.from(Instant.now().minusSeconds(9)));
    picture = temp.resolve("a.png");
    again = temp.resolve("elsewhere/b.png");
  }

  private int run(List<String> arguments) {
    out.getBuffer().setLength(0);
    err.getBuffer().setLength(0);
    return Main.commandLine(new PrintWriter(out), new PrintWriter(err))
        .execute(arguments.toArray(String[]::new));
  }

  private int run(String... arguments) {
    return run(List.of(arguments));
  }

  /** A small picture of two steps, with what changes it. */
  private void sample(String... more) {
    List<String> arguments = new ArrayList<>(List.of("sample", PROMPT, "--steps", "2"));
    arguments.addAll(List.of("--width", "64", "--height", "64", "--out", picture.toString()));
    arguments.addAll(List.of(more));
    assertThat(run(arguments)).as(err.toString()).isEqualTo(ExitCode.OK);
  }

  private int repeat(String... more) {
    List<String> arguments = new ArrayList<>(List.of("sample", "--quiet"));
    arguments.addAll(List.of("--from-png", picture.toString(), "--out", again.toString()));
    arguments.addAll(List.of(more));
    return run(arguments);
  }

  private void assertSamePixels() {
    BufferedImage one = PictureFile.readRgb(picture);
    BufferedImage two = PictureFile.readRgb(again);
    int[] pixels = one.getRGB(0, 0, one.getWidth(), one.getHeight(), null, 0, one.getWidth());
    assertThat(two.getRGB(0, 0, one.getWidth(), one.getHeight(), null, 0, one.getWidth()))
        .isEqualTo(pixels);
  }

  /** The model's own LoRA and another one, cut text, Karras's noise levels, a seed above 2^63. */
  @Test
  void everySettingIsTakenOver() throws Exception {
    String seed = "18446744073709551614";
    sample(
        "--own-lora",
        "--lora",
        lora + ":0.5",
        "--encoding",
        "segments",
        "--scheduler",
        "euler",
        "--karras",
        "--negative",
        "-dark",
        "--guidance",
        "2.5",
        "--seed",
        seed,
        "--json");
    assertThat(JsonParser.parseString(out.toString()).getAsJsonObject().get("seed").getAsString())
        .isEqualTo(seed);
    assertThat(PictureFile.texts(picture).get("parameters"))
        .contains("Schedule type: Karras", "Seed: " + seed, "Sampler: Euler,");
    assertThat(repeat("--strict")).as(err.toString()).isEqualTo(ExitCode.OK);
    assertThat(err.toString()).doesNotContain("made the picture");
    assertSamePixels();

    Files.delete(again);
    assertThat(run("inspect", picture.toString())).isEqualTo(ExitCode.OK);
    String command =
        out.toString().replaceAll("(?s).*every setting by itself: (.*?)\\n\\[.*", "$1");
    List<String> words = new ArrayList<>(Shell.words(command));
    assertThat(words).contains("--own-lora", lora + ":0.5", "--karras", seed, PROMPT);
    words.addAll(words.size() - 1, List.of("--out", again.toString()));
    assertThat(run(words)).as(err.toString()).isEqualTo(ExitCode.OK);
    assertSamePixels();
  }

  @ParameterizedTest
  @ValueSource(strings = {"--no-own-lora", "--encoding=truncated"})
  void whatIsLeftOutStaysOut(String option) {
    sample(option);
    assertThat(repeat("--strict")).as(err.toString()).isEqualTo(ExitCode.OK);
    assertSamePixels();
  }

  @Test
  void whatIsNotFoundIsNamedAndRefusedIfStrict() throws Exception {
    // Content that no other test uses: it would be found by its hash.
    byte[] own = Files.readAllBytes(lora);
    String marker = "/" + temp.getFileName();
    Path changed = temp.resolve("gone.pt");
    Files.write(changed, own);
    Files.write(
        changed,
        marker.getBytes(java.nio.charset.StandardCharsets.US_ASCII),
        java.nio.file.StandardOpenOption.APPEND);
    sample("--lora", changed.toString());
    Files.delete(changed);
    assertThat(repeat()).as(err.toString()).isEqualTo(ExitCode.OK);
    assertThat(err.toString())
        .contains("LoRA: gone.pt (SHA-256 ", "scale 1.0 made the picture, here it is not merged");
    Files.delete(again);
    assertThat(repeat("--strict")).isEqualTo(ExitCode.FAILED);
    assertThat(err.toString()).contains("--strict", "gone.pt");
    assertThat(again).doesNotExist();
    Files.write(temp.resolve("gone.pt"), own);
    assertThat(repeat()).as(err.toString()).isEqualTo(ExitCode.OK);
    assertThat(err.toString()).as("another file of the name").contains("gone.pt");
  }

  @Test
  void webUisSettingsAreSaidWhereTheyAreNotHonoured() {
    String text =
        "a cat <lora:fur:0.8>\nSteps: 1, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 123,"
            + " Size: 64x64, Model hash: 6ce0161689, Model: v1-5, Clip skip: 2, Hires upscale: 2,"
            + " Denoising strength: 0.7, ENSD: 31337, RNG: CPU, Version: v1.6.0";
    PictureFile.writePng(
        picture, new BufferedImage(8, 8, BufferedImage.TYPE_INT_RGB), Map.of("parameters", text));
    assertThat(repeat()).as(err.toString()).isEqualTo(ExitCode.OK);
    assertThat(err.toString())
        .contains(
            "Clip skip: 2 is not honoured", "Hires upscale: 2", "ENSD: 31337", "<lora:fur:0.8>")
        .contains("Denoising strength: 0.7", "v1-5 (hash 6ce0161689)");
    assertThat(PictureFile.texts(again).get("parameters"))
        .startsWith("a cat \nSteps: 1, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7");
    assertThat(repeat("--scheduler", "ddim")).isEqualTo(ExitCode.OK);
    assertThat(repeat("--strict")).isEqualTo(ExitCode.FAILED);
  }

  @Test
  void whatAPictureSaysDoesNotReachTheTerminalAsItIs() {
    String evil = "\u001b[2J\u009b31m\u202e\u0007";
    PictureFile.writePng(
        picture,
        new BufferedImage(8, 8, BufferedImage.TYPE_INT_RGB),
        Map.of(
            "parameters",
            evil + "\nSteps: 1, Sampler: Euler, Seed: 1, Model: " + evil + ", Clip skip: " + evil,
            "Comment",
            evil));
    for (String json : List.of("--json", "--quiet")) {
      assertThat(run("inspect", picture.toString(), json)).isEqualTo(ExitCode.OK);
      assertThat(out + err.toString()).doesNotContain("\u001b", "\u009b", "\u0007");
    }
    assertThat(run("sample", "--from-png", picture.toString(), "--scheduler", "x"))
        .isEqualTo(ExitCode.USAGE);
    assertThat(repeat("--strict", "--steps", "1")).isEqualTo(ExitCode.FAILED);
    assertThat(err.toString()).doesNotContain("\u001b", "\u009b", "\u202e");
  }
}
