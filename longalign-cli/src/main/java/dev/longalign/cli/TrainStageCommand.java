package dev.longalign.cli;

import dev.longalign.EmbeddedModel;
import dev.longalign.pipeline.ModelFiles;
import dev.longalign.training.RunConfig;
import dev.longalign.training.Stage;
import dev.longalign.training.TrainingRun;
import dev.longalign.training.export.Exports;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code longalign train STAGE}: what the four stages have in common. */
abstract class TrainStageCommand implements Callable<Integer> {
  @Mixin CommonOptions common;

  @Option(
      names = "--config",
      required = true,
      paramLabel = "FILE",
      description = "The run, as YAML or JSON.")
  Path config;

  @Option(
      names = "--model",
      paramLabel = "DIR",
      description = "The base, a diffusers directory. Default: the small model in the jar.")
  Path model;

  @Option(
      names = "--lora",
      paramLabel = "FILE[:SCALE]",
      converter = LoraOption.Converter.class,
      description =
          "Merge a LoRA of an earlier stage into the base; may be repeated. Default: none for"
              + " align, else the lora_vis.pt in the model's directory.")
  List<LoraOption> loras = new ArrayList<>();

  @Option(
      names = "--adapter",
      paramLabel = "DIR",
      description = "The text adapter. Default: adapter in the model's directory.")
  Path adapter;

  @Option(
      names = "--t5",
      paramLabel = "DIR",
      description = "T5's tokenizer and encoder. Default: t5 in the model's directory.")
  Path t5;

  @Option(
      names = "--allow-changes",
      description =
          "Continue from a checkpoint though config, data or base have changed since; without it,"
              + " the changes are listed and refused.")
  boolean allowChanges;

  @Mixin DeviceOption on;

  private final Stage stage;

  TrainStageCommand(Stage stage) {
    this.stage = stage;
  }

  /**
   * What is printed at the end.
   *
   * @param loss of the last step, and smoothed over about fifty; null if none was left to make
   * @param command samples with what was trained
   */
  record Result(
      String stage, long steps, Double loss, Double smoothedLoss, String export, String command) {}

  @Override
  public Integer call() {
    RunConfig run = RunConfig.read(config, stage);
    TrainerDisplay display = new TrainerDisplay(common);
    display.loading("model files");
    ModelFiles files =
        ModelFiles.find(
            model == null ? EmbeddedModel.directory() : model,
            adapter,
            t5,
            loras.stream().map(l -> new ModelFiles.LoraFile(l.path(), l.scale())).toList(),
            stage != Stage.ALIGN);
    Path export = run.output().resolve("export");
    try (Signals.Work work = common.interruptible();
        TrainingRun training =
            TrainingRun.open(run, files, on.device, on.threads, display::loading)) {
      TrainerDisplay.Loss loss =
          display.train(
              training.trainer(), stage.key(), run.steps(), facts(training, files), allowChanges);
      common.check(TrainerDisplay.kept(run.output(), training.trainer().step()));
      training.export(export);
      report(
          new Result(
              stage.key(),
              training.trainer().step(),
              loss == null ? null : loss.last(),
              loss == null ? null : loss.smoothed(),
              export.toString(),
              Exports.command(export, files)),
          loss);
    }
    return ExitCode.OK;
  }

  private List<String> facts(TrainingRun training, ModelFiles files) {
    RunConfig run = training.config();
    StringBuilder base = new StringBuilder(files.model().path().toString());
    files.loras().forEach(lora -> base.append(" + ").append(lora.file().getFileName()));
    return List.of(
        String.format(
            Locale.ROOT,
            "%s: %,d parameters (rank %d) on %s",
            stage.key(),
            training.trainer().parameterCount(),
            run.rank(),
            base),
        String.format(
            Locale.ROOT,
            "data: %s, %s, %d x %d, %d x %d in a step",
            run.data(),
            TrainerDisplay.examples(training.examples()),
            training.side(),
            training.side(),
            run.batchSize(),
            run.settings().accumulation()),
        String.format(
            Locale.ROOT,
            "device: %s, %s; output: %s, a checkpoint every %,d steps",
            training.backend(),
            run.precision().name().toLowerCase(Locale.ROOT),
            run.output(),
            run.settings().saveEvery()));
  }

  private void report(Result result, TrainerDisplay.Loss loss) {
    if (common.json) {
      common.printJson(result);
      return;
    }
    common
        .out()
        .printf(
            Locale.ROOT,
            "%d steps%s; sample with:%n%s%n",
            result.steps(),
            TrainerDisplay.Loss.words(loss),
            CommonOptions.pasteable(result.command()));
    common.out().flush();
  }

  /** {@code longalign train align}. */
  @Command(
      name = "align",
      sortOptions = false,
      description = {
        "Stage 1: teaches the UNet the context of long captions. Continues from the newest"
            + " checkpoint in the run's output directory, if there is one; at the end, the LoRA and"
            + " the adapter are in its directory export."
      })
  static final class Align extends TrainStageCommand {
    Align() {
      super(Stage.ALIGN);
    }
  }

  /** {@code longalign train lcm}. */
  @Command(
      name = "lcm",
      sortOptions = false,
      description = "Stage 2: distils guided sampling into a few steps (latent consistency).")
  static final class Lcm extends TrainStageCommand {
    Lcm() {
      super(Stage.LCM);
    }
  }

  /** {@code longalign train reward}. */
  @Command(
      name = "reward",
      sortOptions = false,
      description =
          "Stage 3: follows the gradient of a preference model through the sampling, its"
              + " text-irrelevant part turned down.")
  static final class Reward extends TrainStageCommand {
    Reward() {
      super(Stage.REWARD);
    }
  }

  /** {@code longalign train reward-lcm}. */
  @Command(
      name = "reward-lcm",
      sortOptions = false,
      description =
          "Stage 4: the same for a distilled model: give --lora of stage 1 and of stage 2.")
  static final class RewardLcm extends TrainStageCommand {
    RewardLcm() {
      super(Stage.REWARD_LCM);
    }
  }
}
