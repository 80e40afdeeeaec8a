package dev.longalign.training;

import dev.longalign.LongAlignException;
import dev.longalign.data.ParquetColumns;
import dev.longalign.io.Config;
import dev.longalign.io.Sizes;
import dev.longalign.scheduler.PredictionType;
import dev.longalign.scheduler.Scheduler;
import dev.longalign.tensor.DType;
import dev.longalign.training.export.ExportFormat;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/**
 * From keys and values to a {@link RunConfig}. Only {@code output} and {@code steps} have no
 * default; the defaults are what LongAlign trains with.
 */
final class RunConfigReader {
  private static final List<String> COMMON =
      List.of(
          "output",
          "steps",
          "data",
          "pictures",
          "captionColumn",
          "pictureColumn",
          "captionKey",
          "resolution",
          "batchSize",
          "accumulation",
          "rank",
          "dropout",
          "precision",
          "checkpointing",
          "learningRate",
          "warmupSteps",
          "maxGradientNorm",
          "weightDecay",
          "seed",
          "saveEvery",
          "keepLast",
          "emaDecay",
          "maxMemoryGiB",
          "validateEvery",
          "validationPrompts",
          "validationSteps",
          "validationGuidance",
          "formats",
          "baseModel",
          "license");
  private static final List<String> ALIGN =
      List.of("adapter", "adapterWidth", "captionDropout", "huber");
  private static final List<String> LCM =
      List.of("guidanceScale", "ddimSteps", "firstTimestep", "huber");
  private static final List<String> REWARD_LCM =
      List.of("scorer", "whole", "omega", "commonDirection", "samplingSteps", "every");
  private static final int LAVI_BRIDGE_WIDTH = 1280;

  // Beyond these a typing error is more likely than an intention, and memory would end first.
  static final int LARGEST_SIDE = 4096;
  static final int LARGEST_BATCH = 65_536;
  static final int LARGEST_WIDTH = 65_536;
  private static final int MOST_TIMESTEPS = 1000;

  private final Config config;
  private final Path base;
  private final Stage stage;

  RunConfigReader(Config config, Path base, Stage stage) {
    this.config = config;
    this.base = base;
    this.stage = stage;
  }

  static List<String> keys(Stage stage) {
    List<String> keys = new ArrayList<>(COMMON);
    switch (stage) {
      case ALIGN -> keys.addAll(ALIGN);
      case LCM -> keys.addAll(LCM);
      case REWARD -> {
        keys.addAll(REWARD_LCM);
        keys.add("guidanceScale");
      }
      case REWARD_LCM -> keys.addAll(REWARD_LCM);
    }
    return keys;
  }

  RunConfig read() {
    checkKeys();
    RunConfig run =
        new RunConfig(
            stage,
            config.getPath("output", base),
            Sizes.atLeast(config, "steps", 1L),
            data(),
            Sizes.within(config, "resolution", 0, 0, LARGEST_SIDE),
            batchSize(),
            Sizes.within(config, "rank", 32, 1, LARGEST_WIDTH),
            config.getFloat("dropout", 0.1f),
            newAdapter(),
            precision(),
            config.getBoolean("checkpointing", stage.rewarded()),
            settings(),
            config.getInt("validateEvery", 0) > 0 ? validation() : null,
            formats(),
            config.getString("baseModel", ""),
            config.getString("license", ""),
            stage == Stage.ALIGN ? align() : null,
            stage == Stage.LCM ? lcm() : null,
            stage.rewarded() ? reward() : null);
    check(run.dropout() >= 0 && run.dropout() < 1, "dropout", "a number in [0, 1)");
    contradictions(run);
    return run;
  }

  private int batchSize() {
    return Sizes.within(config, "batchSize", 1, 1, LARGEST_BATCH);
  }

  // ---- what is wrong with keys

  private void checkKeys() {
    for (Stage other : Stage.values()) {
      for (String key : config.keys()) {
        if (!keys(stage).contains(key) && keys(other).contains(key)) {
          List<String> owners =
              Arrays.stream(Stage.values())
                  .filter(owner -> keys(owner).contains(key))
                  .map(Stage::key)
                  .toList();
          throw config.refusal(
              key,
              "no such key in stage "
                  + stage.key()
                  + " (it belongs to "
                  + String.join(", ", owners)
                  + ")");
        }
      }
    }
    config.requireKnown(keys(stage));
  }

  private void contradictions(RunConfig run) {
    TrainingData.Kind kind = run.data().kind();
    boolean cached = kind == TrainingData.Kind.CACHE;
    contradicts(cached, "resolution", "the cache's pictures have their size already");
    contradicts(
        kind != TrainingData.Kind.PARQUET && config.has("data"),
        "pictures",
        "it is for Parquet files, and data is " + run.data());
    for (String key : List.of("validationPrompts", "validationSteps", "validationGuidance")) {
      contradicts(run.validation() == null, key, "nothing is sampled without validateEvery");
    }
    contradicts(!wantsNewAdapter(), "adapterWidth", "it is for adapter: new");
    contradicts(
        run.settings().learningRate().warmupSteps() > run.steps(),
        "warmupSteps",
        "all " + run.steps() + " steps would be warm-up; the learning rate would never be reached");
    if (run.reward() != null
        && run.reward().direction() == RewardSettings.Direction.BATCH
        && run.batchSize() < 2
        && run.reward().omega() != 1) {
      throw new LongAlignException(
          config.source()
              + ": commonDirection batch contradicts batchSize 1: the direction of a single caption"
              + " is the caption itself, and nothing would be left of it; set commonDirection: data,"
              + " or a batchSize of at least 2");
    }
  }

  private void contradicts(boolean condition, String key, String why) {
    if (condition && config.has(key)) {
      throw config.refusal(key, "no such key here: " + why);
    }
  }

  private void check(boolean condition, String key, String expected) {
    if (!condition) {
      throw config.refusal(key, expected);
    }
  }

  // ---- groups of keys

  private TrainingData data() {
    TrainingData.Options options =
        TrainingData.Options.DEFAULT
            .withSeed(config.getLong("seed", TrainerSettings.DEFAULT.seed()))
            .withCaptionKey(
                config.getString("captionKey", TrainingData.Options.DEFAULT.captionKey()))
            .withColumns(
                new ParquetColumns(
                    config.getString("captionColumn", ParquetColumns.PATHS.caption()),
                    config.getString("pictureColumn", ParquetColumns.PATHS.picture())));
    if (config.has("pictures")) {
      options = options.withPictures(config.getPath("pictures", base));
    }
    return TrainingData.parse(config.getString("data", "panels"), base, options);
  }

  private boolean wantsNewAdapter() {
    return config.has("adapter") && config.getString("adapter").equals("new");
  }

  private int newAdapter() {
    if (!wantsNewAdapter()) {
      check(
          !config.has("adapter") || config.getString("adapter").equals("given"),
          "adapter",
          "new or given");
      return 0;
    }
    return Sizes.within(config, "adapterWidth", LAVI_BRIDGE_WIDTH, 1, LARGEST_WIDTH);
  }

  private DType precision() {
    String name = config.getString("precision", "f32");
    check(List.of("f32", "bf16").contains(name), "precision", "f32 or bf16");
    return DType.valueOf(name.toUpperCase(Locale.ROOT));
  }

  private TrainerSettings settings() {
    TrainerSettings d = TrainerSettings.DEFAULT;
    double rate = config.getDouble("learningRate", d.learningRate().peak());
    int warmup = config.getInt("warmupSteps", d.learningRate().warmupSteps());
    check(rate > 0 && Double.isFinite(rate), "learningRate", "a positive number");
    check(warmup >= 0, "warmupSteps", "a number of steps");
    double gibibytes = config.getDouble("maxMemoryGiB", 0);
    check(
        gibibytes >= 0 && gibibytes < 1 << 20,
        "maxMemoryGiB",
        "a number of GiB, or 0 for no limit");
    return new TrainerSettings(
            d.learningRate(),
            config.getDouble("maxGradientNorm", d.maxGradientNorm()),
            config.getDouble("weightDecay", d.weightDecay()),
            Sizes.atLeast(config, "accumulation", d.accumulation(), 1),
            config.getLong("seed", d.seed()),
            Sizes.atLeast(config, "saveEvery", d.saveEvery(), 1),
            Sizes.atLeast(config, "keepLast", d.keepLast(), 1))
        .withLearningRate(rate, warmup)
        .withEma(config.getDouble("emaDecay", d.emaDecay()))
        .withValidation(Sizes.atLeast(config, "validateEvery", d.validateEvery(), 0))
        .withMaxMemory((long) (gibibytes * (1 << 30)));
  }

  private ValidationSettings validation() {
    boolean distilled = ValidationSettings.scheduler(stage) == Scheduler.LCM;
    boolean panels = data().kind() == TrainingData.Kind.PANELS;
    check(
        panels || config.has("validationPrompts"),
        "validationPrompts",
        "a list of prompts, because there is validateEvery");
    List<String> prompts =
        config.getStringList("validationPrompts", panels ? ValidationSettings.panels() : List.of());
    int steps = Sizes.within(config, "validationSteps", distilled ? 4 : 25, 1, MOST_TIMESTEPS);
    float guidance = config.getFloat("validationGuidance", distilled ? 1 : 7.5f);
    check(!prompts.isEmpty(), "validationPrompts", "at least one prompt");
    check(Float.isFinite(guidance), "validationGuidance", "a finite number");
    return new ValidationSettings(prompts, steps, guidance);
  }

  private Set<ExportFormat> formats() {
    Set<ExportFormat> formats = EnumSet.noneOf(ExportFormat.class);
    for (String name : config.getStringList("formats", List.of("longalign"))) {
      check(
          Arrays.stream(ExportFormat.values()).anyMatch(f -> word(f).equals(name)),
          "formats",
          "some of " + Arrays.stream(ExportFormat.values()).map(RunConfigReader::word).toList());
      formats.add(ExportFormat.valueOf(name.toUpperCase(Locale.ROOT)));
    }
    check(!formats.isEmpty(), "formats", "at least one");
    return formats;
  }

  private static String word(ExportFormat format) {
    return format.name().toLowerCase(Locale.ROOT);
  }

  private AlignObjective.Settings align() {
    AlignObjective.Settings d = AlignObjective.Settings.DEFAULT;
    return new AlignObjective.Settings(
        config.getDouble("captionDropout", d.captionDropout()),
        config.getFloat("huber", d.huber()));
  }

  private LcmObjective.Settings lcm() {
    LcmObjective.Settings d = LcmObjective.Settings.DEFAULT;
    return new LcmObjective.Settings(
        PredictionType.EPSILON,
        config.getFloat("guidanceScale", d.guidanceScale()),
        Sizes.within(config, "ddimSteps", d.ddimSteps(), 1, MOST_TIMESTEPS),
        Sizes.within(config, "firstTimestep", d.firstTimestep(), 0, MOST_TIMESTEPS - 1),
        config.getFloat("huber", d.huber()));
  }

  private RewardSettings reward() {
    RewardSettings d = RewardSettings.of(stage);
    String direction = config.getString("commonDirection", batchSize() > 1 ? "batch" : "data");
    boolean named = direction.equals("batch") || direction.equals("data");
    int samplingSteps = Sizes.within(config, "samplingSteps", d.samplingSteps(), 1, MOST_TIMESTEPS);
    int every = config.getInt("every", Math.max(1, samplingSteps * d.every() / d.samplingSteps()));
    check(every >= 1 && every <= samplingSteps, "every", "a number in [1, " + samplingSteps + "]");
    return new RewardSettings(
        config.has("scorer") ? config.getPath("scorer", base) : null,
        config.getBoolean("whole", false),
        config.getDouble("omega", d.omega()),
        named
            ? RewardSettings.Direction.valueOf(direction.toUpperCase(Locale.ROOT))
            : RewardSettings.Direction.FILE,
        named ? null : config.getPath("commonDirection", base),
        config.getFloat("guidanceScale", d.guidanceScale()),
        samplingSteps,
        every);
  }
}
