package dev.longalign.training;

import com.google.gson.JsonObject;
import dev.longalign.io.Config;
import dev.longalign.io.Sizes;
import dev.longalign.model.ClipConfig;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * What a training of Denscore is made of; YAML or JSON whose keys are this record's and those of
 * {@link #SIZES}. Only {@code output} and {@code steps} have no default.
 *
 * @param output the directory for checkpoints and the export
 * @param steps of the optimizer
 * @param data where pictures and captions are from
 * @param batchSize pictures that are contrasted with one another
 * @param init {@code new}, or the directory of a CLIPModel to continue from; null for new
 * @param tokenizer for a new model, the directory of a CLIPModel whose tokenizer it gets, and whose
 *     sizes where none are given; null for the one of the jar
 * @param sizes of a new model, by key of {@link #SIZES}
 * @param omega how much of the text-irrelevant part takes part in training
 * @param segmentWeight of the segments' term, beside 1 for the captions'
 * @param checkpointing computes activations again instead of keeping them
 * @param evaluation held-out pictures of the panels world to measure with at the end, a multiple of
 *     {@link DenscoreEvaluation#CHOICES}; 0 for none
 * @param settings of the trainer, in the same object
 */
public record DenscoreRunConfig(
    Path output,
    long steps,
    TrainingData data,
    int batchSize,
    Path init,
    Path tokenizer,
    Map<String, Integer> sizes,
    double omega,
    double segmentWeight,
    boolean checkpointing,
    int evaluation,
    TrainerSettings settings) {
  /** The sizes that a new model may be given. */
  public static final Set<String> SIZES =
      Set.of(
          "textWidth",
          "textLayers",
          "textHeads",
          "visionWidth",
          "visionLayers",
          "visionHeads",
          "imageSize",
          "patchSize",
          "projection");

  private static final String NEW = "new";
  private static final String PANELS = "panels:mixed";
  private static final Set<String> KEYS =
      Set.of(
          "output",
          "steps",
          "data",
          "batchSize",
          "init",
          "tokenizer",
          "omega",
          "segmentWeight",
          "checkpointing",
          "evaluation",
          "learningRate",
          "warmupSteps",
          "maxGradientNorm",
          "weightDecay",
          "accumulation",
          "seed",
          "saveEvery",
          "keepLast");
  private static final int FEED_FORWARD = 4;

  public DenscoreRunConfig {
    sizes = Map.copyOf(sizes);
  }

  /**
   * Reads a YAML (or JSON) file. Relative paths in it start from its directory.
   *
   * @throws dev.longalign.LongAlignException naming a key that is unknown, missing or out of range
   */
  public static DenscoreRunConfig read(Path file) {
    return of(Config.readYaml(file), file.toAbsolutePath().getParent());
  }

  /** {@link #read} for a run that is described in code. */
  public static DenscoreRunConfig parse(String yaml, Path base) {
    return of(Config.parseYaml("run", yaml), base);
  }

  static DenscoreRunConfig of(Config config, Path base) {
    Set<String> known = new TreeSet<>(KEYS);
    known.addAll(SIZES);
    config.requireKnown(known);
    String init = config.getString("init", NEW);
    Map<String, Integer> sizes = new TreeMap<>();
    for (String key : SIZES) {
      if (config.has(key)) {
        check(config, init.equals(NEW), key, "no size: init says which model it is");
        sizes.put(key, Sizes.within(config, key, 0, 1, RunConfigReader.LARGEST_SIDE));
      }
    }
    boolean named = config.has("tokenizer");
    check(config, init.equals(NEW) || !named, "tokenizer", "none: init has its own");
    TrainingData.Options options =
        TrainingData.Options.DEFAULT.withSeed(
            config.getLong("seed", TrainerSettings.DEFAULT.seed()));
    int evaluation = config.getInt("evaluation", 4 * DenscoreEvaluation.CHOICES);
    check(
        config,
        evaluation >= 0 && evaluation % DenscoreEvaluation.CHOICES == 0,
        "evaluation",
        "a multiple of " + DenscoreEvaluation.CHOICES + ", or 0");
    double omega = config.getDouble("omega", DenscoreObjective.Settings.DEFAULT.omega());
    double segmentWeight =
        config.getDouble("segmentWeight", DenscoreObjective.Settings.DEFAULT.segmentWeight());
    check(config, omega >= 0 && omega <= 1, "omega", "a number in [0, 1]");
    check(config, segmentWeight >= 0, "segmentWeight", "a number of at least 0");
    TrainerSettings d = TrainerSettings.DEFAULT;
    return new DenscoreRunConfig(
        config.getPath("output", base),
        Sizes.atLeast(config, "steps", 1L),
        TrainingData.parse(config.getString("data", PANELS), base, options),
        Sizes.within(config, "batchSize", 64, 2, RunConfigReader.LARGEST_BATCH),
        init.equals(NEW) ? null : config.getPath("init", base),
        named ? config.getPath("tokenizer", base) : null,
        sizes,
        omega,
        segmentWeight,
        config.getBoolean("checkpointing", false),
        evaluation,
        d.withLearningRate(config.getDouble("learningRate", 1e-3), config.getInt("warmupSteps", 50))
            .withLimits(
                config.getDouble("maxGradientNorm", 1),
                config.getDouble("weightDecay", d.weightDecay()))
            .withAccumulation(Sizes.atLeast(config, "accumulation", d.accumulation(), 1))
            .withSeed(config.getLong("seed", d.seed()))
            .withCheckpoints(
                Sizes.atLeast(config, "saveEvery", d.saveEvery(), 1),
                Sizes.atLeast(config, "keepLast", d.keepLast(), 1)));
  }

  private static void check(Config config, boolean condition, String key, String expected) {
    if (!condition) {
      throw config.refusal(key, expected);
    }
  }

  /**
   * The config of the model to train: that of a directory, for a new model with the sizes of this
   * run.
   *
   * @param base the config of {@link #init}, or of the directory that a new model's tokenizer is
   *     from
   */
  ClipConfig model(Config base) {
    JsonObject json = base.json().deepCopy();
    if (!sizes.isEmpty()) {
      tower(json, "text");
      tower(json, "vision");
      size("imageSize").ifPresent(n -> part(json, "vision").addProperty("image_size", n));
      size("patchSize").ifPresent(n -> part(json, "vision").addProperty("patch_size", n));
      size("projection").ifPresent(n -> json.addProperty("projection_dim", n));
    }
    return ClipConfig.of(Config.of(base.source(), json));
  }

  private Optional<Integer> size(String key) {
    return Optional.ofNullable(sizes.get(key));
  }

  private void tower(JsonObject json, String name) {
    JsonObject tower = part(json, name);
    size(name + "Width")
        .ifPresent(
            width -> {
              tower.addProperty("hidden_size", width);
              tower.addProperty("intermediate_size", FEED_FORWARD * width);
            });
    size(name + "Layers").ifPresent(n -> tower.addProperty("num_hidden_layers", n));
    size(name + "Heads").ifPresent(n -> tower.addProperty("num_attention_heads", n));
    size("projection").ifPresent(n -> tower.addProperty("projection_dim", n));
    json.remove(name + "_config_dict"); // would win over what has been set
  }

  private static JsonObject part(JsonObject json, String name) {
    return json.getAsJsonObject(name + "_config");
  }
}
