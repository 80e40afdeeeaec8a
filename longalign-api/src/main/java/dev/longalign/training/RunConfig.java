package dev.longalign.training;

import dev.longalign.io.Config;
import dev.longalign.tensor.DType;
import java.nio.file.Path;
import java.util.List;

/**
 * What a run of training is made of; {@link RunConfigReader} has the keys of its YAML form.
 *
 * @param stage what is minimised
 * @param output the directory for checkpoints, events and the export
 * @param steps of the optimizer
 * @param data where pictures and captions are from
 * @param resolution of the pictures; 0 for the model's own
 * @param batchSize examples in a micro-batch
 * @param rank of the LoRA
 * @param dropout of the outputs of LoRA and adapter
 * @param newAdapter starts with a random adapter of that width inside; 0 continues from the model's
 * @param precision of the frozen networks in training; what is trained is f32
 * @param checkpointing computes activations again instead of keeping them
 * @param settings of the trainer
 * @param align of that stage, else null
 * @param lcm of that stage, else null; the prediction type is the model's
 * @param reward of the stages reward and reward-lcm, else null
 */
public record RunConfig(
    Stage stage,
    Path output,
    long steps,
    TrainingData data,
    int resolution,
    int batchSize,
    int rank,
    float dropout,
    int newAdapter,
    DType precision,
    boolean checkpointing,
    TrainerSettings settings,
    AlignObjective.Settings align,
    LcmObjective.Settings lcm,
    RewardSettings reward) {

  /**
   * Reads a YAML (or JSON) file. Relative paths in it start from its directory.
   *
   * @throws dev.longalign.LongAlignException naming a key that is unknown, missing, out of range,
   *     of another stage, or in contradiction to another one
   */
  public static RunConfig read(Path file, Stage stage) {
    return new RunConfigReader(Config.readYaml(file), file.toAbsolutePath().getParent(), stage)
        .read();
  }

  /** {@link #read} for a run that is described in code. */
  public static RunConfig parse(String yaml, Stage stage, Path base) {
    return new RunConfigReader(Config.parseYaml("run", yaml), base, stage).read();
  }

  /** The keys that a stage understands. */
  public static List<String> keys(Stage stage) {
    return RunConfigReader.keys(stage);
  }
}
