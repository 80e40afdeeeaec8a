package dev.longalign.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.EmbeddedModel;
import dev.longalign.LongAlignException;
import dev.longalign.pipeline.ModelFiles;
import dev.longalign.tensor.Device;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the stages make of a network that predicts something else than the noise. */
class PredictionTypeTest {
  private static final String WARNING = "stage lcm takes the network's output for the noise";

  @TempDir Path folder;

  @Test
  void lcmSaysThatItStepsAsThePublishedCode() throws IOException {
    assertThat(log(Stage.LCM, "epsilon")).doesNotContain(WARNING);
    assertThat(log(Stage.LCM, "v_prediction"))
        .contains(WARNING, "expected prediction_type epsilon, found v_prediction");
    assertThat(log(Stage.ALIGN, "v_prediction")).doesNotContain("prediction_type");
    assertThatThrownBy(() -> log(Stage.LCM, "sample"))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining(WARNING)
        .hasMessageContaining(
            "found sample; train this stage from a model that predicts the noise");
  }

  @Test
  void distilledGuidanceIsRefused() throws IOException {
    Path model = model("epsilon");
    Path config = model.resolve("unet/config.json");
    String text = Files.readString(config).replaceFirst("\\{", "{\"time_cond_proj_dim\": 16, ");
    Files.delete(config);
    Files.writeString(config, text.replaceFirst("\"time_cond_proj_dim\": null,?", ""));
    assertThatThrownBy(() -> open(Stage.LCM, model))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("time_cond_proj_dim 16 (its guidance is distilled)");
  }

  private String log(Stage stage, String prediction) throws IOException {
    PrintStream before = System.err;
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    System.setErr(new PrintStream(bytes, true, StandardCharsets.UTF_8));
    try {
      open(stage, model(prediction));
    } finally {
      System.setErr(before);
    }
    return bytes.toString(StandardCharsets.UTF_8);
  }

  private void open(Stage stage, Path model) {
    RunConfig config =
        RunConfig.parse(
            "{output: run, steps: 1, data: 'panels:short:2', rank: 2, batchSize: 1}",
            stage,
            folder);
    ModelFiles files = ModelFiles.find(model, null, null, List.of(), false);
    TrainingRun.open(config, files, Device.cpu(), 1).close();
  }

  /** The embedded model by links, with a scheduler of its own. */
  private Path model(String prediction) throws IOException {
    Path model = Files.createDirectories(folder.resolve(prediction + System.nanoTime()));
    try (Stream<Path> parts = Files.walk(EmbeddedModel.directory())) {
      for (Path part : parts.toList()) {
        Path to = model.resolve(EmbeddedModel.directory().relativize(part).toString());
        if (Files.isDirectory(part)) {
          Files.createDirectories(to);
        } else {
          Files.createSymbolicLink(to, part);
        }
      }
    }
    Path config = model.resolve("scheduler/scheduler_config.json");
    String text = Files.readString(config);
    Files.delete(config);
    Files.writeString(config, text.replace("\"epsilon\"", "\"" + prediction + "\""));
    return model;
  }
}
