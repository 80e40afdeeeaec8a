package dev.longalign.cli;

import dev.longalign.EmbeddedModel;
import dev.longalign.io.ShellCommand;
import dev.longalign.preference.PreferenceModel;
import dev.longalign.training.DenscoreEvaluation;
import dev.longalign.training.DenscoreRun;
import dev.longalign.training.DenscoreRunConfig;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code longalign train denscore}. */
@Command(
    name = "denscore",
    sortOptions = false,
    description = {
      "Teaches a CLIP to score pictures with long captions, sentence by sentence. Continues from the"
          + " newest checkpoint in the run's output directory, if there is one; at the end, its"
          + " directory export is what 'longalign score --scorer' reads."
    },
    footer = {
      "",
      "The config is YAML or JSON. Needed: output, steps. Others and their defaults: data"
          + " (panels:mixed; or a directory of pictures with captions), batchSize (64), init (new, or a"
          + " CLIPModel's directory), omega (1: how much of the text-irrelevant part takes part),"
          + " segmentWeight (1), checkpointing (false), evaluation (256 held-out pictures),"
          + " accumulation (1), learningRate (1e-3), warmupSteps (50), maxGradientNorm (1),"
          + " weightDecay (0.01), seed (0), saveEvery (500), keepLast (3). For a new model:"
          + " tokenizer (a CLIPModel's directory; the one in the jar) and sizes, by default those"
          + " of that directory: textWidth, textLayers, textHeads, visionWidth, visionLayers,"
          + " visionHeads, imageSize, patchSize, projection."
    })
final class TrainDenscoreCommand implements Callable<Integer> {
  private static final String DENSCORE = "denscore";

  @Mixin CommonOptions common;

  @Option(names = "--config", required = true, paramLabel = "FILE", description = "The run.")
  Path config;

  @Option(
      names = "--allow-changes",
      description =
          "Continue from a checkpoint though config, data or base have changed since; without it,"
              + " the changes are listed and refused.")
  boolean allowChanges;

  @Mixin DeviceOption on;

  /**
   * What is printed at the end.
   *
   * @param loss of the last step, and smoothed over about fifty; null if none was left to make
   * @param trained how well the trained model knows held-out pictures; null if not measured
   * @param embedded the same of the model in the jar
   */
  record Result(
      String stage,
      long steps,
      Double loss,
      Double smoothedLoss,
      String export,
      DenscoreEvaluation trained,
      DenscoreEvaluation embedded) {}

  @Override
  public Integer call() {
    DenscoreRunConfig run = DenscoreRunConfig.read(config);
    Path embedded = EmbeddedModel.directory().resolve(DENSCORE);
    Path export = run.output().resolve("export");
    TrainerDisplay display = new TrainerDisplay(common);
    display.loading("CLIP and data");
    TrainerDisplay.Loss loss;
    long steps;
    try (DenscoreRun denscore = new DenscoreRun(run, embedded, on.open(), on.threads);
        Signals.Work work = common.cancellable(denscore.trainer()::stop)) {
      loss =
          display.train(
              denscore.trainer(), DENSCORE, run.steps(), facts(run, denscore), allowChanges);
      common.check(TrainerDisplay.kept(run.output(), denscore.trainer().step()));
      denscore.model().export(export);
      steps = denscore.trainer().step();
    }
    report(
        new Result(
            DENSCORE,
            steps,
            loss == null ? null : loss.last(),
            loss == null ? null : loss.smoothed(),
            export.toString(),
            evaluate(export, run.evaluation()),
            evaluate(embedded, run.evaluation())),
        loss);
    return ExitCode.OK;
  }

  private static List<String> facts(DenscoreRunConfig run, DenscoreRun denscore) {
    return List.of(
        String.format(
            Locale.ROOT,
            "denscore: %,d parameters, %s",
            denscore.trainer().parameterCount(),
            run.init() == null ? "from random weights" : "from " + run.init()),
        String.format(
            Locale.ROOT,
            "data: %s, %s, %d x %d in a step",
            run.data(),
            TrainerDisplay.examples(denscore.examples()),
            run.batchSize(),
            run.settings().accumulation()),
        String.format(
            Locale.ROOT,
            "device: %s; output: %s, a checkpoint every %,d steps",
            denscore.backend(),
            run.output(),
            run.settings().saveEvery()));
  }

  private DenscoreEvaluation evaluate(Path directory, int pictures) {
    if (pictures == 0) {
      return null;
    }
    try (PreferenceModel model =
        PreferenceModel.open(directory, directory, on.threads, on.device)) {
      return DenscoreEvaluation.of(model, pictures);
    }
  }

  private void report(Result result, TrainerDisplay.Loss loss) {
    if (common.json) {
      common.printJson(result);
      return;
    }
    common
        .out()
        .printf(Locale.ROOT, "%d steps%s%n", result.steps(), TrainerDisplay.Loss.words(loss));
    if (result.trained() != null) {
      common
          .out()
          .printf(
              Locale.ROOT,
              "%d held-out pictures: own caption among %d, true sentence before a changed one%n",
              result.trained().pictures(),
              DenscoreEvaluation.CHOICES);
      line("trained", result.trained());
      line("in the jar", result.embedded());
    }
    common
        .out()
        .println(
            "score with:\n"
                + CommonOptions.pasteable(
                    new ShellCommand("longalign", "score", "out.png")
                        .option("--scorer", result.export())
                        .toString()));
    common.out().flush();
  }

  private void line(String name, DenscoreEvaluation found) {
    StringBuilder attributes = new StringBuilder();
    found
        .byAttribute()
        .forEach(
            (key, share) ->
                attributes.append(
                    String.format(
                        Locale.ROOT,
                        "%s%s %.1f %%",
                        attributes.isEmpty() ? "" : ", ",
                        key,
                        100 * share)));
    common
        .out()
        .printf(
            Locale.ROOT,
            "  %-10s  %5.1f %%  %5.1f %% (%s)%n",
            name,
            100 * found.retrieval(),
            100 * found.segments(),
            attributes);
  }
}
