package dev.longalign.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.longalign.LongAlign;
import dev.longalign.LongAlignBuilder;
import dev.longalign.SampleRequest;
import dev.longalign.SampleRequestBuilder;
import dev.longalign.io.LockFile;
import dev.longalign.io.PictureFile;
import dev.longalign.scheduler.Scheduler;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Training the embedded model by the command line: two steps, then two more, then a picture. */
final class TrainCommandTest {
  @TempDir Path temp;

  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  private int run(String... arguments) {
    out.getBuffer().setLength(0);
    err.getBuffer().setLength(0);
    return Main.commandLine(new PrintWriter(out), new PrintWriter(err)).execute(arguments);
  }

  private Path config(String more) throws IOException {
    return Files.writeString(temp.resolve("run.yaml"), "{\"output\": \"run\", " + more + "}");
  }

  private JsonObject json() {
    String[] lines = out.toString().strip().split("\n");
    return JsonParser.parseString(lines[lines.length - 1]).getAsJsonObject();
  }

  @Test
  void trainsResumesAndSamples() throws Exception {
    String settings = ", \"resolution\": 64, \"rank\": 4, \"warmupSteps\": 0, \"saveEvery\": 1";
    for (int steps : new int[] {1, 2}) {
      Path config = config("\"steps\": " + steps + settings);
      assertThat(run("train", "align", "--json", "--config", config.toString()))
          .as(err.toString())
          .isEqualTo(ExitCode.OK);
      assertThat(json().get("steps").getAsLong()).isEqualTo(steps);
      assertThat(json().get("loss").getAsDouble()).isPositive();
      assertThat(err.toString().contains("continuing after step 1")).isEqualTo(steps == 2);
    }
    Path export = temp.resolve("run/export");
    assertThat(json().get("export").getAsString()).isEqualTo(export.toString());
    assertThat(temp.resolve("run/step-00000002/manifest.json")).exists();
    assertThat(err.toString())
        .contains("loading model files ...", "parameters (rank 4)", "64 x 64");
    pastedCommandDrawsLike(
        LongAlign.builder().lora(export.resolve("lora_vis.pt")).adapter(export.resolve("adapter")),
        export,
        request -> request.steps(2),
        "--steps",
        "2");
    BufferedImage one = PictureFile.readRgb(temp.resolve("o.png"));
    String changed = config("\"steps\": 3, \"learningRate\": 1" + settings).toString();
    assertThat(run("train", "align", "--config", changed)).isEqualTo(ExitCode.FAILED);
    assertThat(err.toString())
        .contains("changed since step 2", "learningRate was 3.0E-5, is 1.0", "--allow-changes");
    try (LockFile lock = LockFile.acquire(temp.resolve("run/.lock"), temp)) {
      assertThat(run("train", "align", "--config", changed, "--allow-changes"))
          .isEqualTo(ExitCode.FAILED);
      assertThat(err.toString()).contains("run is being written by this process ");
    }
    // Merged, the directory alone gives the same picture: its guidance lies in it.
    Path merged = temp.resolve("merged");
    String[] asMerged = {
      "export",
      "--from",
      export + "/lora_vis.pt",
      "--adapter",
      export + "/adapter",
      "--json",
      "--format",
      "merged",
      "--precision",
      "F32",
      "--out",
      merged.toString()
    };
    assertThat(run(asMerged)).as(err.toString()).isEqualTo(ExitCode.OK);
    List<String> words = Shell.words(json().get("command").getAsString());
    assertThat(words).containsSequence("sample", "--model", merged.toString());
    runPasted(words, "--steps", "2");
    assertThat(largestDifference(PictureFile.readRgb(temp.resolve("o.png")), one))
        .isLessThanOrEqualTo(1);
  }

  /** Both the last line and the card of an export. */
  private void pastedCommandDrawsLike(
      LongAlignBuilder like,
      Path export,
      UnaryOperator<SampleRequestBuilder> settings,
      String... more)
      throws Exception {
    List<String> words = Shell.words(json().get("command").getAsString());
    String prompt = words.get(words.size() - 1);
    BufferedImage expected;
    try (LongAlign longAlign = like.build()) {
      expected =
          longAlign.sample(settings.apply(SampleRequest.of(prompt).toBuilder()).build()).image();
    }
    runPasted(words, more);
    assertThat(largestDifference(PictureFile.readRgb(temp.resolve("o.png")), expected)).isZero();
    String card = Files.readString(export.resolve("README.md"));
    Matcher command = Pattern.compile("```sh\n(longalign .*)\n").matcher(card);
    assertThat(command.find()).as(card).isTrue();
    List<String> inExport = new ArrayList<>();
    for (String word : Shell.words(command.group(1))) {
      boolean path = !inExport.isEmpty() && inExport.get(inExport.size() - 1).startsWith("--");
      boolean file = path && Files.exists(export.resolve(word));
      inExport.add(file ? export.resolve(word).normalize().toString() : word);
    }
    assertThat(inExport).isEqualTo(words);
  }

  private void runPasted(List<String> words, String... more) {
    List<String> arguments = new ArrayList<>(words);
    arguments.addAll(words.size() - 1, List.of(more));
    arguments.addAll(words.size() - 1, List.of("--out", temp + "/o.png"));
    assertThat(run(arguments.toArray(String[]::new))).as(err.toString()).isEqualTo(ExitCode.OK);
  }

  private static int largestDifference(BufferedImage one, BufferedImage two) {
    int largest = 0;
    for (int y = 0; y < one.getHeight(); y++) {
      for (int x = 0; x < one.getWidth(); x++) {
        for (int shift = 0; shift < 24; shift += 8) {
          int a = one.getRGB(x, y) >> shift & 255;
          largest = Math.max(largest, Math.abs(a - (two.getRGB(x, y) >> shift & 255)));
        }
      }
    }
    return largest;
  }

  @ParameterizedTest
  @CsvSource({
    "lcm, lora_lcm.pt, LCM, 4, 'batchSize: 2'",
    "reward, lora_reward.pt, UNIPC, 2, 'batchSize: 2, samplingSteps: 2, every: 2, guidanceScale: 3'",
    "reward-lcm, lora_reward_lcm.pt, LCM, 2, 'batchSize: 1, commonDirection: data, samplingSteps: 2'"
  })
  void laterStagesTrainALoraOnTopOfTheFirst(
      String stage, String lora, Scheduler scheduler, int steps, String settings) throws Exception {
    Path config =
        Files.writeString(
            temp.resolve("run.yaml"),
            "# a comment\noutput: run\nsteps: 1\nrank: 2\nwarmupSteps: 0\ndata: panels:40\n"
                + settings.replace(", ", "\n")
                + "\n");
    assertThat(run("train", stage, "--json", "--config", config.toString()))
        .as(err.toString())
        .isEqualTo(ExitCode.OK);
    assertThat(json().get("stage").getAsString()).isEqualTo(stage);
    assertThat(json().get("loss").getAsDouble()).isFinite();
    assertThat(temp.resolve("run/export").resolve(lora)).isRegularFile();
    assertThat(temp.resolve("run/export/adapter")).doesNotExist();
    assertThat(json().get("command").getAsString().contains("--scheduler lcm --steps " + steps))
        .isEqualTo(scheduler == Scheduler.LCM);
    pastedCommandDrawsLike(
        LongAlign.builder().withOwnLora().lora(temp.resolve("run/export").resolve(lora)),
        temp.resolve("run/export"),
        request -> request.scheduler(scheduler).steps(steps),
        scheduler == Scheduler.LCM ? new String[0] : new String[] {"--steps", "2"});
  }

  @Test
  void badConfigsNameTheKey() throws IOException {
    Path config = config("\"steps\": 1, \"learnRate\": 1");
    assertThat(run("train", "align", "--config", config.toString())).isEqualTo(ExitCode.FAILED);
    assertThat(err.toString()).contains("learnRate", "learningRate").doesNotContain("\tat ");
    config = config("\"steps\": 0");
    assertThat(run("train", "align", "--config", config.toString())).isEqualTo(ExitCode.FAILED);
    assertThat(err.toString()).contains("steps", "a positive number");
    assertThat(run("train", "align")).isEqualTo(ExitCode.USAGE);
  }

  @Test
  void trainsADenscoreThatScores() throws IOException {
    String sizes =
        "textWidth: 32, textLayers: 1, textHeads: 2, visionWidth: 32, visionLayers: 1,"
            + " visionHeads: 2, projection: 24";
    for (int steps : new int[] {1, 2}) {
      Path config =
          config("steps: " + steps + ", batchSize: 4, saveEvery: 1, evaluation: 64, " + sizes);
      assertThat(run("train", "denscore", "--json", "--config", config.toString()))
          .as(err.toString())
          .isEqualTo(ExitCode.OK);
      assertThat(json().get("steps").getAsLong()).isEqualTo(steps);
      assertThat(json().get("loss").getAsDouble()).isPositive();
      assertThat(err.toString().contains("continuing after step 1")).isEqualTo(steps == 2);
    }
    JsonObject trained = json().getAsJsonObject("trained");
    JsonObject embedded = json().getAsJsonObject("embedded");
    assertThat(trained.get("pictures").getAsInt()).isEqualTo(64);
    assertThat(embedded.get("segments").getAsDouble())
        .isGreaterThan(trained.get("segments").getAsDouble());

    String picture = temp + "/o.png";
    String[] sample = {
      "sample", "A red circle.", "--steps", "1", "--width", "64", "--height", "64", "--out", picture
    };
    assertThat(run(sample)).as(err.toString()).isEqualTo(ExitCode.OK);
    String export = temp.resolve("run/export").toString();
    assertThat(run("score", picture, "--scorer", export, "--json", "--caption", "A red circle."))
        .as(err.toString())
        .isEqualTo(ExitCode.OK);
    assertThat(json().get("score").getAsDouble()).isBetween(-1.0, 1.0);
  }
}
