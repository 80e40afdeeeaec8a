package dev.longalign.benchmarks.miniature;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.longalign.io.PictureFile;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The experiments with a few steps: that they train, measure, continue and report. */
final class MiniatureTest {
  @TempDir Path temp;

  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  private int run(String... arguments) {
    List<String> all = new ArrayList<>(List.of(arguments));
    all.addAll(
        List.of(
            "--quick",
            "--out",
            temp.resolve("runs") + "",
            "--report",
            temp.resolve("report") + ""));
    return Miniature.commandLine(new PrintWriter(out), new PrintWriter(err))
        .execute(all.toArray(String[]::new));
  }

  private JsonObject json(String experiment, String run) throws IOException {
    Path file = temp.resolve("report").resolve(experiment + ".json");
    return JsonParser.parseString(Files.readString(file)).getAsJsonObject().getAsJsonObject(run);
  }

  private static List<String> points(JsonObject run) {
    JsonArray points = run.getAsJsonArray("points");
    List<String> all = new ArrayList<>();
    for (JsonElement element : points) {
      JsonObject point = element.getAsJsonObject();
      JsonObject setting = point.getAsJsonObject("setting");
      all.add(
          point.get("model").getAsString()
              + " "
              + point.get("step").getAsInt()
              + " "
              + setting.get("captions").getAsString()
              + " "
              + setting.get("encoding").getAsString()
              + " "
              + setting.get("scheduler").getAsString());
    }
    return all;
  }

  @Test
  void alignTrainsMeasuresAndContinues() throws Exception {
    assertThat(run("align")).as(err.toString()).isZero();
    JsonObject run = json("align", "align");
    List<String> expected =
        List.of(
            "base 0 LONG TRUNCATED UNIPC",
            "base 0 LONG SEGMENTS UNIPC",
            "base 0 SHORT TRUNCATED UNIPC",
            "base 0 SHORT SEGMENTS UNIPC",
            "LongAlign 0 LONG LONGALIGN UNIPC",
            "LongAlign 2 LONG LONGALIGN UNIPC",
            "LongAlign 4 LONG LONGALIGN UNIPC",
            "LongAlign 4 SHORT LONGALIGN UNIPC");
    assertThat(points(run)).containsExactlyElementsOf(expected);
    assertThat(run.getAsJsonArray("training")).hasSize(2);
    assertThat(run.getAsJsonObject("settings").get("seed").getAsLong()).isEqualTo(42);
    assertThat(run.getAsJsonObject("machine").get("jdk").getAsString()).isNotEmpty();
    String page = Files.readString(temp.resolve("report/align.md"));
    assertThat(page).contains("| base | 0 | 2 long, truncated | unipc 2, guidance 3.0 |");
    assertThat(PictureFile.readRgb(temp.resolve("report/align-curve.png")).getWidth())
        .isGreaterThan(1000);
    // Two pictures in each of three rows.
    assertThat(PictureFile.readRgb(temp.resolve("report/align-pictures.png")).getHeight())
        .isEqualTo(3 * (104 + 4) + 4);

    // Continuing where the first measurement after training was lost, it is made again.
    Path log = temp.resolve("runs/align/align/run.json");
    JsonObject stored = JsonParser.parseString(Files.readString(log)).getAsJsonObject();
    JsonElement lost = stored.getAsJsonArray("points").remove(7);
    Files.writeString(log, stored.toString());
    assertThat(run("align")).as(err.toString()).isZero();
    JsonObject again = json("align", "align");
    assertThat(points(again)).containsExactlyElementsOf(expected);
    assertThat(again.getAsJsonArray("training")).hasSize(2);
    assertThat(again.getAsJsonArray("points").get(7).getAsJsonObject().get("evaluation"))
        .isEqualTo(lost.getAsJsonObject().get("evaluation"));

    assertThat(run("align", "--learning-rate", "0.5")).isEqualTo(1);
    assertThat(err.toString()).contains("a run with other settings", "0.5");
  }

  @Test
  void rewardRunsOncePerOmega() throws Exception {
    assertThat(run("reward", "--omega", "1")).as(err.toString()).isZero();
    assertThat(run("reward", "--omega", "1,0", "--report-only")).as(err.toString()).isZero();
    assertThat(points(json("reward", "omega-1.0")))
        .containsExactly(
            "omega-1.0 0 LONG LONGALIGN UNIPC",
            "omega-1.0 1 LONG LONGALIGN UNIPC",
            "omega-1.0 2 LONG LONGALIGN UNIPC");
    assertThat(json("reward", "omega-0.0")).isNull();
    assertThat(Files.readString(temp.resolve("report/reward.md")))
        .contains("reward-curves.png", "| omega-1.0 | 2 steps |");
  }

  @Test
  void lcmDistilsAndRewards() throws Exception {
    assertThat(run("lcm")).as(err.toString()).isZero();
    assertThat(points(json("lcm", "lcm")))
        .containsExactly(
            "align 0 LONG LONGALIGN UNIPC",
            "align 0 LONG LONGALIGN UNIPC",
            "align 0 LONG LONGALIGN LCM",
            "lcm 0 LONG LONGALIGN LCM",
            "lcm 1 LONG LONGALIGN LCM",
            "lcm 2 LONG LONGALIGN LCM");
    assertThat(points(json("lcm", "reward-lcm")))
        .containsExactly(
            "reward-lcm 0 LONG LONGALIGN LCM",
            "reward-lcm 1 LONG LONGALIGN LCM",
            "reward-lcm 2 LONG LONGALIGN LCM");
    JsonArray lcm = json("lcm", "lcm").getAsJsonArray("points");
    JsonArray reward = json("lcm", "reward-lcm").getAsJsonArray("points");
    // Before its first step, reward-lcm is what lcm ended with.
    assertThat(reward.get(0).getAsJsonObject().get("evaluation"))
        .isEqualTo(lcm.get(5).getAsJsonObject().get("evaluation"));
  }
}
