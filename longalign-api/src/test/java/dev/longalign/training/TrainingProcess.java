package dev.longalign.training;

import dev.longalign.data.FeatureExample;
import java.nio.file.Path;
import java.util.function.Consumer;

/**
 * A process that trains the tiny model, and may be ended at any moment. It says {@code begin N},
 * {@code step N}, {@code saved N} and {@code end N}.
 */
final class TrainingProcess {
  static final TrainerSettings SETTINGS = TinyRun.SETTINGS.withAccumulation(1).withEma(0.9);

  private TrainingProcess() {}

  /** Arguments: the run's directory, the last step, steps between checkpoints. */
  public static void main(String[] args) {
    Path run = Path.of(args[0]);
    long last = Long.parseLong(args[1]);
    int saveEvery = Integer.parseInt(args[2]);
    Thread trains = Thread.currentThread();
    Runtime.getRuntime()
        .addShutdownHook(
            new Thread(
                () -> {
                  trains.interrupt();
                  try {
                    trains.join();
                  } catch (InterruptedException e) {
                    throw new IllegalStateException(e);
                  }
                }));
    train(
        run,
        last,
        saveEvery,
        line -> {
          System.out.println(line);
          System.out.flush();
        });
  }

  static void train(Path run, long last, int saveEvery, Consumer<String> out) {
    try (TinyTraining tiny = TinyRun.tiny();
        Trainer<FeatureExample> trainer =
            new TinyRun(SETTINGS.withCheckpoints(saveEvery, 2), 1, -1).trainer(tiny, run)) {
      trainer.listen(
          new TrainingListener() {
            @Override
            public void onStart(long step) {
              out.accept("begin " + step);
            }

            @Override
            public void onStep(StepReport report) {
              out.accept("step " + report.step());
            }

            @Override
            public void onSaved(long step, Path checkpoint) {
              out.accept("saved " + step);
            }
          });
      trainer.listen(new JsonLinesEvents(run));
      trainer.listen(new TensorBoardEvents(run));
      trainer.resume();
      trainer.trainTo(last);
      out.accept("end " + trainer.step());
    }
  }
}
