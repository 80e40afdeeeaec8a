package dev.longalign.pipeline;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.longalign.io.SafetensorsWriter;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFile;
import dev.longalign.io.TensorFiles;
import dev.longalign.scheduler.PredictionType;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What a checkpoint in one file says of its noise schedule, wherever it says it. */
class CheckpointScheduleTest {
  private static final String STABLE_DIFFUSION =
      "{\"prediction_type\": \"epsilon\", \"beta_start\": 0.00085, \"beta_end\": 0.012}";

  @TempDir Path temp;

  private CheckpointSchedule schedule(
      List<String> markers, Map<String, String> metadata, String yaml, PredictionType given)
      throws IOException {
    Path path = temp.resolve("model.safetensors");
    List<StoredTensor> tensors =
        markers.stream()
            .map(name -> StoredTensor.ofFloats(name, DType.F32, Shape.of(0), new float[0]))
            .toList();
    SafetensorsWriter.write(path, tensors, metadata);
    if (yaml != null) {
      Files.writeString(temp.resolve("model.yaml"), yaml);
    }
    try (TensorFile file = TensorFiles.open(path)) {
      return CheckpointSchedule.of(path, file, given);
    }
  }

  private static JsonObject applied(CheckpointSchedule schedule) {
    return schedule.applied(JsonParser.parseString(STABLE_DIFFUSION).getAsJsonObject());
  }

  private static String prediction(CheckpointSchedule schedule) {
    return applied(schedule).get("prediction_type").getAsString();
  }

  @Test
  void withoutAWordNothingChanges() throws IOException {
    CheckpointSchedule schedule = schedule(List.of(), Map.of("format", "pt"), null, null);
    assertThat(applied(schedule)).isEqualTo(JsonParser.parseString(STABLE_DIFFUSION));
    assertThat(schedule.notes()).isEmpty();
  }

  @Test
  void tensorsWithoutNumbersSayIt() throws IOException {
    CheckpointSchedule schedule = schedule(List.of("v_pred", "ztsnr"), Map.of(), null, null);
    assertThat(prediction(schedule)).isEqualTo("v_prediction");
    assertThat(applied(schedule).get("rescale_betas_zero_snr").getAsBoolean()).isTrue();
    assertThat(applied(schedule).get("timestep_spacing").getAsString()).isEqualTo("trailing");
    assertThat(schedule.notes()).hasSize(2);
  }

  @ParameterizedTest
  @CsvSource({
    "v, v_prediction",
    "v_prediction, v_prediction",
    "epsilon, epsilon",
    "Sample, sample",
    "flow, epsilon"
  })
  void metadataSayIt(String said, String expected) throws IOException {
    CheckpointSchedule schedule =
        schedule(List.of(), Map.of("modelspec.prediction_type", said), null, null);
    assertThat(prediction(schedule)).isEqualTo(expected);
    assertThat(schedule.notes()).hasSize(said.equals("epsilon") ? 0 : 1);
  }

  @Test
  void theTrainingCodesConfigSaysIt() throws IOException {
    String yaml =
        "model:\n  params:\n    parameterization: \"v\"\n    linear_start: 0.001\n"
            + "    linear_end: 0.02\n    timesteps: 500\n    scale_factor: 0.13025\n";
    CheckpointSchedule schedule = schedule(List.of(), Map.of(), yaml, null);
    assertThat(prediction(schedule)).isEqualTo("v_prediction");
    assertThat(applied(schedule).get("beta_start").getAsDouble()).isEqualTo(0.001);
    assertThat(applied(schedule).get("beta_end").getAsDouble()).isEqualTo(0.02);
    assertThat(applied(schedule).get("num_train_timesteps").getAsInt()).isEqualTo(500);
    assertThat(schedule.notes()).anyMatch(note -> note.contains("scale_factor 0.13025"));
  }

  @Test
  void whatIsSeenAndNotHonouredIsSaid() throws IOException {
    Map<String, String> metadata =
        Map.of("modelspec.encoder_layer", "2", "modelspec.architecture", "stable-diffusion-xl-v1");
    CheckpointSchedule schedule = schedule(List.of(), metadata, "model: [", null);
    assertThat(schedule.notes())
        .hasSize(3)
        .anyMatch(note -> note.contains("encoder_layer 2"))
        .anyMatch(note -> note.contains("stable-diffusion-xl-v1"))
        .anyMatch(note -> note.contains("model.yaml"));
  }

  @Test
  void theUserHasTheLastWord() throws IOException {
    CheckpointSchedule schedule =
        schedule(List.of("v_pred"), Map.of(), null, PredictionType.EPSILON);
    assertThat(prediction(schedule)).isEqualTo("epsilon");
    CheckpointSchedule two =
        schedule(List.of("v_pred"), Map.of("modelspec.prediction_type", "epsilon"), null, null);
    assertThat(prediction(two)).isEqualTo("v_prediction");
    assertThat(two.notes()).anyMatch(note -> note.contains("something else says"));
  }
}
