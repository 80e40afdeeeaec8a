package dev.longalign.cli;

import dev.longalign.data.Skip;
import dev.longalign.training.StepReport;
import dev.longalign.training.Trainer;
import dev.longalign.training.TrainingListener;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.OptionalLong;

/** What a person sees of a training on stderr: what it is made of, how it goes, what is skipped. */
final class TrainerDisplay {
  private final CommonOptions common;

  TrainerDisplay(CommonOptions common) {
    this.common = common;
  }

  /**
   * The last step's loss.
   *
   * @param smoothed the moving average over about fifty steps
   */
  record Loss(double last, double smoothed) {
    /** A few words for the last line; nothing if no step was left to make. */
    static String words(Loss loss) {
      return loss == null
          ? ""
          : String.format(
              Locale.ROOT, ", last loss %.4f (smoothed %.4f)", loss.last(), loss.smoothed());
    }
  }

  /** How much data there is, in words. */
  static String examples(OptionalLong count) {
    return count.isPresent()
        ? String.format(Locale.ROOT, "%,d examples", count.getAsLong())
        : "endless";
  }

  /** Before what takes a while. */
  void loading(String what) {
    common.stage("loading " + what);
  }

  private void say(String line) {
    if (!common.quiet) {
      common.say(line);
    }
  }

  /**
   * Resumes and trains.
   *
   * @param facts what is trained with what, a line each
   * @param allowChanges see {@link Trainer#resume(boolean)}
   * @return null if no step was left to make
   */
  Loss train(
      Trainer<?> trainer, String name, long steps, List<String> facts, boolean allowChanges) {
    boolean resumed = trainer.resume(allowChanges);
    facts.forEach(this::say);
    if (resumed) {
      say(
          trainer.step() == steps
              ? "all " + steps + " steps are made already"
              : "continuing after step " + trainer.step() + " of " + steps);
    }
    Loss[] loss = {null};
    try (Progress progress = common.progress(name, steps)) {
      progress.startAt(trainer.step());
      trainer.listen(
          new TrainingListener() {
            @Override
            public void onStep(StepReport step) {
              loss[0] = new Loss(step.loss(), step.smoothedLoss());
              progress.stepTo(step.step(), line(step));
            }

            @Override
            public void onSkipped(long step, Skip skip) {
              progress.say("skipped: " + skip.reason());
            }
          });
      trainer.trainTo(steps);
    }
    return loss[0];
  }

  static String kept(Path run, long step) {
    return run + " has the checkpoint of step " + step + "; the same command continues from it";
  }

  private static String line(StepReport step) {
    return String.format(
        Locale.ROOT,
        "smoothed loss %.4f, |g| %.3f, %.1f pictures/s, %.1f GiB",
        step.smoothedLoss(),
        step.gradientNorm(),
        step.picturesPerSecond(),
        step.memoryBytes() / (double) (1 << 30));
  }
}
