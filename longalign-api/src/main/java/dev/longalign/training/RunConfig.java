package dev.longalign.training;

import dev.longalign.io.Config;
import dev.longalign.tensor.DType;
import dev.longalign.training.export.ExportFormat;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

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
 * @param validation what is sampled on its schedule; null without one
 * @param formats of the export
 * @param baseModel the base's name for the model card, such as owner/name; empty: its directory's
 * @param license an identifier for the model card; empty: not said
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
    ValidationSettings validation,
    Set<ExportFormat> formats,
    String baseModel,
    String license,
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

  /** What a model card says of the run, by key. */
  Map<String, String> summary() {
    Map<String, String> all = new LinkedHashMap<>();
    all.put("rank", Integer.toString(rank));
    all.put("batchSize", Integer.toString(batchSize));
    all.put("accumulation", Integer.toString(settings.accumulation()));
    all.put("learningRate", Double.toString(settings.learningRate().peak()));
    all.put("warmupSteps", Integer.toString(settings.learningRate().warmupSteps()));
    all.put("maxGradientNorm", Double.toString(settings.maxGradientNorm()));
    all.put("weightDecay", Double.toString(settings.weightDecay()));
    all.put("dropout", Float.toString(dropout));
    all.put("emaDecay", Double.toString(settings.emaDecay()));
    all.put("precision", precision.name().toLowerCase(Locale.ROOT));
    all.put("seed", Long.toString(settings.seed()));
    if (align != null) {
      all.put("captionDropout", Double.toString(align.captionDropout()));
      all.put("huber", Float.toString(align.huber()));
      all.put("adapter", newAdapter == 0 ? "given" : "new");
    } else if (lcm != null) {
      all.put("guidanceScale", Float.toString(lcm.guidanceScale()));
      all.put("ddimSteps", Integer.toString(lcm.ddimSteps()));
      all.put("firstTimestep", Integer.toString(lcm.firstTimestep()));
      all.put("huber", Float.toString(lcm.huber()));
    } else {
      all.put("omega", Double.toString(reward.omega()));
      all.put("commonDirection", reward.direction().name().toLowerCase(Locale.ROOT));
      all.put("guidanceScale", Float.toString(reward.guidanceScale()));
      all.put("samplingSteps", Integer.toString(reward.samplingSteps()));
      all.put("every", Integer.toString(reward.every()));
    }
    return all;
  }

  /** The keys that a stage understands. */
  public static List<String> keys(Stage stage) {
    return RunConfigReader.keys(stage);
  }
}
