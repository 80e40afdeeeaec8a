package dev.longalign.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

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
  void trainsResumesAndSamples() throws IOException {
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
    String[] sample = {
      "sample",
      "A red circle.",
      "--steps",
      "1",
      "--width",
      "64",
      "--height",
      "64",
      "--lora",
      export + "/lora_vis.pt",
      "--adapter",
      export + "/adapter",
      "--out",
      temp + "/o.png"
    };
    assertThat(run(sample)).as(err.toString()).isEqualTo(ExitCode.OK);
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
}
