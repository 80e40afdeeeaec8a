package dev.longalign.pipeline;

import com.google.gson.JsonObject;
import dev.longalign.LongAlignException;
import dev.longalign.io.Config;
import dev.longalign.io.Names;
import dev.longalign.io.TensorFile;
import dev.longalign.scheduler.PredictionType;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * What a checkpoint in one file says of its noise schedule, since its tensors look the same
 * whatever the network predicts: tensors without numbers called {@code v_pred} and {@code ztsnr},
 * metadata ({@code modelspec.prediction_type}), or the training code's config in a {@code .yaml}
 * beside it.
 */
final class CheckpointSchedule {
  private final TensorFile file;
  private final List<String> notes = new ArrayList<>();
  private PredictionType prediction;
  private boolean zeroTerminalSnr;
  private Double betaStart;
  private Double betaEnd;
  private Integer timesteps;

  private CheckpointSchedule(TensorFile file) {
    this.file = file;
  }

  /**
   * @param path of {@code file}
   * @param given what the user says, which overrides the file; null: nothing
   */
  static CheckpointSchedule of(Path path, TensorFile file, PredictionType given) {
    CheckpointSchedule schedule = new CheckpointSchedule(file);
    schedule.readTensors();
    schedule.readMetadata();
    schedule.readYaml(path);
    if (given != null) {
      schedule.prediction = given;
    }
    return schedule;
  }

  /** What was found, and what of it is not honoured, a sentence each. */
  List<String> notes() {
    return List.copyOf(notes);
  }

  /** A scheduler_config.json with what was found in place of its own. */
  JsonObject applied(JsonObject scheduler) {
    JsonObject out = scheduler.deepCopy();
    if (prediction != null) {
      out.addProperty("prediction_type", prediction.name().toLowerCase(Locale.ROOT));
    }
    if (zeroTerminalSnr) {
      out.addProperty("rescale_betas_zero_snr", true);
      out.addProperty("timestep_spacing", "trailing"); // else no step begins at pure noise
    }
    if (betaStart != null && betaEnd != null) {
      out.addProperty("beta_start", betaStart);
      out.addProperty("beta_end", betaEnd);
    }
    if (timesteps != null) {
      out.addProperty("num_train_timesteps", timesteps);
    }
    return out;
  }

  private void readTensors() {
    if (file.contains("v_pred")) {
      found(PredictionType.V_PREDICTION, "a tensor v_pred");
    }
    if (file.contains("ztsnr")) {
      zeroTerminalSnr = true;
      notes.add("zero terminal SNR, by a tensor ztsnr: betas are rescaled, timesteps are trailing");
    }
  }

  private void readMetadata() {
    Map<String, String> metadata = file.metadata();
    String type = metadata.get("modelspec.prediction_type");
    if (type != null) {
      named(type, "modelspec.prediction_type in its metadata");
    }
    String layer = metadata.get("modelspec.encoder_layer");
    if (layer != null && !layer.equals("1")) {
      notes.add(
          "modelspec.encoder_layer "
              + Names.printable(layer)
              + " (CLIP skip) is not honoured: the text encoder's last layer is used");
    }
    String architecture = metadata.getOrDefault("modelspec.architecture", "stable-diffusion-v1");
    if (!architecture.startsWith("stable-diffusion-v1")) {
      notes.add(
          "modelspec.architecture is "
              + Names.printable(architecture)
              + ", the tensors are those of Stable Diffusion 1.x");
    }
  }

  private void readYaml(Path path) {
    String name = path.getFileName().toString();
    Path yaml = path.resolveSibling(name.replaceFirst("\\.[^.]+$", "") + ".yaml");
    if (!Files.isRegularFile(yaml)) {
      return;
    }
    try {
      Config config = Config.readYaml(yaml);
      Config params = section(section(config, "model"), "params");
      if (params.has("parameterization")) {
        named(params.getString("parameterization"), "parameterization in " + config.source());
      }
      if (params.has("linear_start") && params.has("linear_end")) {
        betaStart = params.getDouble("linear_start");
        betaEnd = params.getDouble("linear_end");
      }
      if (params.has("timesteps")) {
        timesteps = params.getInt("timesteps");
      }
      if (params.has("scale_factor") && params.getDouble("scale_factor") != 0.18215) {
        notes.add(
            "scale_factor "
                + params.getDouble("scale_factor")
                + " in "
                + config.source()
                + " is not honoured: the autoencoder's is 0.18215");
      }
    } catch (LongAlignException unreadable) {
      notes.add("its config is not honoured: " + unreadable.getMessage());
    }
  }

  private static Config section(Config config, String key) {
    return config.has(key) ? config.getConfig(key) : Config.parse(config.source(), "{}");
  }

  private void named(String type, String by) {
    switch (type.toLowerCase(Locale.ROOT)) {
      case "v", "v_prediction", "v-prediction", "velocity" ->
          found(PredictionType.V_PREDICTION, by);
      case "eps", "epsilon" -> found(PredictionType.EPSILON, by);
      case "x0", "sample" -> found(PredictionType.SAMPLE, by);
      default -> notes.add(by + " is " + Names.printable(type) + ", which is not known");
    }
  }

  private void found(PredictionType type, String by) {
    if (prediction != null && prediction != type) {
      notes.add(
          by
              + " says that it predicts "
              + type
              + ", something else says "
              + prediction
              + " before");
      return;
    }
    if (prediction == null && type != PredictionType.EPSILON) {
      notes.add("it predicts " + type.name().toLowerCase(Locale.ROOT) + ", by " + by);
    }
    prediction = type;
  }
}
