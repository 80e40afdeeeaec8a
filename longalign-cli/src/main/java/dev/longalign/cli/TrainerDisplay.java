package dev.longalign.cli;

import dev.longalign.data.Skip;
import dev.longalign.data.SkipReport;
import dev.longalign.training.StepReport;
import dev.longalign.training.Trainer;
import dev.longalign.training.TrainingListener;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/** Resumes and trains with a live display. */
final class TrainerDisplay {
  private TrainerDisplay() {}

  /** Returns the loss of the last step; null if none was left to make. */
  static Double train(Trainer<?> trainer, String name, long steps, CommonOptions common) {
    if (trainer.resume() && !common.quiet) {
      common.say("continuing after step " + trainer.step());
    }
    Double[] loss = {null};
    try (Progress progress = common.progress(name, steps)) {
      progress.startAt(trainer.step());
      trainer.listen(
          new TrainingListener() {
            @Override
            public void onStep(StepReport step) {
              loss[0] = step.loss();
              progress.stepTo(step.step(), line(step));
            }

            @Override
            public void onSkipped(long step, SkipReport soFar) {
              List<Skip> named = soFar.named();
              String last =
                  named.isEmpty() ? "" : ", lastly " + named.get(named.size() - 1).reason();
              progress.say("skipped so far: " + soFar.skipped() + last);
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
        "loss %.4f, |g| %.3f, %.1f pictures/s, %.1f GiB",
        step.smoothedLoss(),
        step.gradientNorm(),
        step.picturesPerSecond(),
        step.memoryBytes() / (double) (1 << 30));
  }
}
