package dev.longalign.benchmarks.miniature;

import com.google.gson.JsonObject;
import dev.longalign.EmbeddedModel;
import dev.longalign.pipeline.TextEncoding;
import dev.longalign.scheduler.Scheduler;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** What the experiments have in common: where they run, how they measure, what they write. */
abstract class Experiment implements Callable<Integer> {
  private static final int QUICK_CAPTIONS = 2;
  private static final int QUICK_STEPS = 2;
  private static final int SAMPLING_STEPS = 25;

  @Spec CommandSpec spec;

  @Option(
      names = "--out",
      paramLabel = "DIR",
      description =
          "Checkpoints and measurements; a run that was interrupted continues from here. Default:"
              + " ${DEFAULT-VALUE}.")
  Path out = Path.of("benchmarks/runs");

  @Option(
      names = "--report",
      paramLabel = "DIR",
      description = "JSON, Markdown and figures. Default: ${DEFAULT-VALUE}.")
  Path reports = Path.of("benchmarks/results/miniature");

  @Option(names = "--report-only", description = "Only write the report of what was measured.")
  boolean reportOnly;

  @Option(names = "--threads", description = "CPU threads. Default: one per core.")
  int threads;

  @Option(names = "--seed", description = "Of training. Default: ${DEFAULT-VALUE}.")
  long seed = 42;

  @Option(
      names = "--captions",
      paramLabel = "N",
      description = "Held-out captions for the last measurement, 1 to 64. Default: 64.")
  int captions = 64;

  @Option(
      names = "--quick",
      description = "A few steps and captions, to see that everything works; says nothing else.")
  boolean quick;

  /** The name of its directory and of the report's files. */
  abstract String title();

  /** Trains and measures what is missing. */
  abstract void run(Judge judge);

  /** Writes what there is. */
  abstract void report();

  @Override
  public final Integer call() {
    if (!reportOnly) {
      try (Judge judge = new Judge(threads, progress())) {
        run(judge);
      }
    }
    report();
    spec.commandLine().getOut().println("written to " + reports);
    spec.commandLine().getOut().flush();
    return 0;
  }

  final PrintWriter progress() {
    return spec.commandLine().getErr();
  }

  final Path directory(String run) {
    return out.resolve(title()).resolve(run);
  }

  final RunLog open(String run, JsonObject settings) {
    return RunLog.open(directory(run), settings, threads);
  }

  /** A value, or the one for a quick look. */
  final <T> T or(T value, T ifQuick) {
    return quick ? ifQuick : value;
  }

  /** The long held-out captions as LongAlign samples them, with the model's own guidance. */
  final Setting sampled() {
    return new Setting(
        Setting.Captions.LONG,
        or(captions, Math.min(captions, QUICK_CAPTIONS)),
        TextEncoding.LONGALIGN,
        Scheduler.UNIPC,
        or(SAMPLING_STEPS, QUICK_STEPS),
        EmbeddedModel.GUIDANCE_SCALE,
        42);
  }

  /** Keys of a run's config that every stage understands. */
  final JsonObject config(long steps, int batchSize, double learningRate, int warmupSteps) {
    JsonObject config = new JsonObject();
    config.addProperty("steps", steps);
    config.addProperty("batchSize", batchSize);
    config.addProperty("learningRate", learningRate);
    config.addProperty("warmupSteps", Math.min(warmupSteps, steps));
    config.addProperty("dropout", 0);
    config.addProperty("maxGradientNorm", 1);
    config.addProperty("seed", seed);
    return config;
  }
}
