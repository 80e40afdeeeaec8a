package dev.longalign.training;

import dev.longalign.io.Config;
import java.nio.file.Path;
import java.util.Set;
import java.util.TreeSet;

/**
 * What a run of stage 1 is made of; a JSON object whose keys are this record's. Only {@code output}
 * and {@code steps} have no default.
 *
 * @param output the directory for checkpoints and the export
 * @param steps of the optimizer
 * @param data {@code panels}: the panels world, made as it goes; else a folder of pictures with
 *     captions
 * @param resolution of the pictures; 0 for the model's own
 * @param batchSize examples in a micro-batch
 * @param rank of the LoRA
 * @param dropout of the outputs of LoRA and adapter
 * @param captionDropout the share of captions that are replaced by the empty one
 * @param huber c of the pseudo-Huber loss; 0 for the mean squared error
 * @param checkpointing computes activations again instead of keeping them
 * @param settings of the trainer, in the same object
 */
public record RunConfig(
    Path output,
    long steps,
    String data,
    int resolution,
    int batchSize,
    int rank,
    float dropout,
    double captionDropout,
    float huber,
    boolean checkpointing,
    TrainerSettings settings) {
  /** The data that needs no files. */
  public static final String PANELS = "panels";

  private static final Set<String> KEYS =
      Set.of(
          "output",
          "steps",
          "data",
          "resolution",
          "batchSize",
          "rank",
          "dropout",
          "captionDropout",
          "huber",
          "checkpointing",
          "learningRate",
          "warmupSteps",
          "maxGradientNorm",
          "weightDecay",
          "accumulation",
          "seed",
          "saveEvery",
          "keepLast");

  /**
   * Reads a JSON file. Relative paths in it start from its directory.
   *
   * @throws dev.longalign.LongAlignException naming a key that is unknown, missing or out of range
   */
  public static RunConfig read(Path file) {
    Path parent = file.toAbsolutePath().getParent();
    return of(Config.read(file), parent);
  }

  static RunConfig of(Config config, Path base) {
    for (String key : config.keys()) {
      if (!KEYS.contains(key)) {
        throw config.refusal(key, "one of the keys " + new TreeSet<>(KEYS));
      }
    }
    TrainerSettings d = TrainerSettings.DEFAULT;
    String data = config.getString("data", PANELS);
    RunConfig run =
        new RunConfig(
            base.resolve(config.getString("output")),
            config.getLong("steps"),
            data.equals(PANELS) ? data : base.resolve(data).toString(),
            config.getInt("resolution", 0),
            config.getInt("batchSize", 1),
            config.getInt("rank", 32),
            config.getFloat("dropout", 0.1f),
            config.getDouble("captionDropout", 0.1),
            config.getFloat("huber", 0),
            config.getBoolean("checkpointing", false),
            new TrainerSettings(
                d.learningRate(),
                config.getDouble("maxGradientNorm", d.maxGradientNorm()),
                config.getDouble("weightDecay", d.weightDecay()),
                config.getInt("accumulation", d.accumulation()),
                config.getLong("seed", d.seed()),
                config.getInt("saveEvery", d.saveEvery()),
                config.getInt("keepLast", d.keepLast())));
    check(config, run.steps >= 1, "steps", "a positive number");
    check(config, run.resolution >= 0, "resolution", "a side in pixels, or 0");
    check(config, run.batchSize >= 1, "batchSize", "a positive number");
    check(config, run.rank >= 1, "rank", "a positive number");
    check(config, run.dropout >= 0 && run.dropout < 1, "dropout", "a number in [0, 1)");
    return run.with(
        run.settings.withLearningRate(
            config.getDouble("learningRate", d.learningRate().peak()),
            config.getInt("warmupSteps", d.learningRate().warmupSteps())));
  }

  private RunConfig with(TrainerSettings other) {
    return new RunConfig(
        output,
        steps,
        data,
        resolution,
        batchSize,
        rank,
        dropout,
        captionDropout,
        huber,
        checkpointing,
        other);
  }

  private static void check(Config config, boolean condition, String key, String expected) {
    if (!condition) {
      throw config.refusal(key, expected);
    }
  }

  /** For a run that is described in code. */
  public static RunConfig parse(String json, Path base) {
    return of(Config.parse("run", json), base);
  }
}
