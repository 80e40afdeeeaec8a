package dev.longalign.benchmarks.miniature;

import com.google.gson.JsonObject;
import dev.longalign.tensor.Device;
import dev.longalign.training.RunConfig;
import dev.longalign.training.Stage;
import dev.longalign.training.StepReport;
import dev.longalign.training.TrainingListener;
import dev.longalign.training.TrainingRun;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.Locale;

/** Trains one stage from a model and stops at marks; continues from its checkpoints. */
final class Training {
  private static final int SAVE_EVERY = 50;
  private static final long NANOS_BETWEEN_LINES = 15_000_000_000L;

  /** Called with what has been trained so far. */
  interface Mark {
    /**
     * @param trained the start with the export of the run
     */
    void at(long step, Model trained);
  }

  private final RunLog log;
  private final Stage stage;
  private final int threads;
  private final PrintWriter progress;

  Training(RunLog log, Stage stage, int threads, PrintWriter progress) {
    this.log = log;
    this.stage = stage;
    this.threads = threads;
    this.progress = progress;
  }

  /** Where a run of a stage leaves its LoRA. */
  static Path lora(Path run, Stage stage) {
    return run.resolve("export").resolve(stage.loraFile());
  }

  /**
   * Trains with the log's settings, which are those of {@link RunConfig} and say everything but
   * where the output goes and how often it is saved.
   *
   * @param start what training starts from
   * @param every how many steps there is a mark; there is one before the first and after the last
   */
  void run(Model start, long every, Mark mark) {
    JsonObject settings = log.settings().deepCopy();
    settings.addProperty("output", "checkpoints");
    settings.addProperty("saveEvery", Math.min(SAVE_EVERY, every));
    settings.addProperty("keepLast", 1);
    RunConfig config = RunConfig.parse(settings.toString(), stage, log.directory());
    Path lora = lora(log.directory(), stage);
    Model trained = start.with(lora);
    if (stage == Stage.ALIGN) {
      trained = new Model(trained.loras(), lora.resolveSibling("adapter"));
    }
    try (TrainingRun run = TrainingRun.open(config, start.files(), Device.cpu(), threads)) {
      run.trainer().resume();
      Stretch stretch = new Stretch(config.steps());
      run.trainer().listen(stretch);
      for (long next = 0; ; next = Math.min(next + every, config.steps())) {
        if (next >= run.trainer().step()) {
          long from = run.trainer().step();
          run.trainer().trainTo(next);
          if (next > from) {
            log.add(stretch.end(from, next));
          }
          run.export(lora.getParent());
          mark.at(next, trained);
        }
        if (next == config.steps()) {
          return;
        }
      }
    }
  }

  /** Sums what the trainer reports, and says now and then where it is. */
  private final class Stretch implements TrainingListener {
    private final long steps;
    private long nextLine = System.nanoTime() + NANOS_BETWEEN_LINES;
    private int count;
    private double loss;
    private double norm;
    private double seconds;
    private long peak;

    Stretch(long steps) {
      this.steps = steps;
    }

    @Override
    public void onStep(StepReport step) {
      count++;
      loss += step.loss();
      norm += step.gradientNorm();
      seconds += step.seconds();
      peak = Math.max(peak, step.peakBytes());
      if (System.nanoTime() >= nextLine) {
        nextLine = System.nanoTime() + NANOS_BETWEEN_LINES;
        progress.printf(
            Locale.ROOT,
            "%s step %d of %d: loss %.5f, %.2f s a step%n",
            stage.key(),
            step.step(),
            steps,
            loss / count,
            seconds / count);
        progress.flush();
      }
    }

    RunLog.Stretch end(long from, long to) {
      RunLog.Stretch ended =
          new RunLog.Stretch(from, to, loss / count, norm / count, seconds, peak);
      count = 0;
      loss = 0;
      norm = 0;
      seconds = 0;
      peak = 0;
      return ended;
    }
  }
}
