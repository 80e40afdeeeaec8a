package dev.longalign.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import dev.longalign.LongAlignException;
import dev.longalign.data.FeatureExample;
import dev.longalign.tensor.MemoryUse;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.function.Consumer;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** However a run is stopped short of killing it, it goes on as if it had not been. */
class StopTest {
  private static final TrainerSettings SETTINGS = TinyRun.SETTINGS.withCheckpoints(100, 2);
  private static final int LAST = 4;

  @TempDir private static Path whole;
  private static MemoryUse memory;

  @TempDir private Path folder;

  @BeforeAll
  static void neverStopped() {
    try (TinyTraining tiny = TinyRun.tiny();
        Trainer<FeatureExample> trainer = new TinyRun(SETTINGS).trainer(tiny, whole)) {
      trainer.listen(afterStep(step -> memory = step.memory()));
      trainer.trainTo(LAST);
    }
  }

  private static TrainingListener afterStep(Consumer<StepReport> action) {
    return new TrainingListener() {
      @Override
      public void onStep(StepReport step) {
        action.accept(step);
      }
    };
  }

  /** Parameters, moments, generator, masks, position and smoothed loss. */
  private void assertSameEnd(Path run) throws IOException {
    for (String file : new String[] {"state.safetensors", "state.json"}) {
      String name = String.format(Locale.ROOT, "step-%08d/%s", LAST, file);
      assertThat(Files.readAllBytes(run.resolve(name)))
          .as(file)
          .isEqualTo(Files.readAllBytes(whole.resolve(name)));
    }
  }

  @Test
  void anInterruptedThreadEndsAfterTheStepAndSaves() throws IOException {
    Path run = folder.resolve("run");
    try (TinyTraining tiny = TinyRun.tiny();
        Trainer<FeatureExample> trainer = new TinyRun(SETTINGS).trainer(tiny, run)) {
      trainer.listen(
          afterStep(
              step -> {
                if (step.step() == 2) {
                  Thread.currentThread().interrupt();
                }
              }));
      trainer.trainTo(LAST);
      assertThat(Thread.interrupted()).as("the caller learns of it").isTrue();
      assertThat(trainer.step()).isEqualTo(2);
    }
    assertThat(run.resolve("step-00000002/manifest.json")).exists();
    try (TinyTraining tiny = TinyRun.tiny();
        Trainer<FeatureExample> trainer = new TinyRun(SETTINGS).trainer(tiny, run)) {
      assertThat(trainer.resume()).isTrue();
      trainer.trainTo(LAST);
    }
    assertSameEnd(run);
  }

  @Test
  void interruptsComeAtAnyMoment() throws Exception {
    Path run = folder.resolve("run");
    Random random = new Random(11);
    try (TinyTraining tiny = TinyRun.tiny();
        Trainer<FeatureExample> trainer =
            new TinyRun(SETTINGS.withCheckpoints(1, 2)).trainer(tiny, run)) {
      Thread trains = Thread.currentThread();
      int interrupts = 0;
      while (trainer.step() < LAST) {
        long delay = random.nextInt(100);
        Thread interrupter =
            new Thread(
                () -> {
                  try {
                    Thread.sleep(delay);
                    trains.interrupt();
                  } catch (InterruptedException e) {
                    throw new IllegalStateException(e);
                  }
                });
        if (interrupts < 8) {
          interrupter.start();
          interrupts++;
        }
        trainer.trainTo(LAST);
        boolean cleared = Thread.interrupted();
        if (interrupter.isAlive()) {
          joinUninterrupted(interrupter);
        }
        assertThat(cleared || trainer.step() == LAST).isTrue();
        assertThat(Thread.interrupted() && !cleared && trainer.step() < LAST).isFalse();
      }
    }
    assertSameEnd(run);
  }

  private static void joinUninterrupted(Thread thread) {
    while (thread.isAlive()) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        // It came after the last step.
      }
    }
  }

  @Test
  void stopEndsAfterTheStepForGood() throws IOException {
    Path run = folder.resolve("run");
    try (TinyTraining tiny = TinyRun.tiny();
        Trainer<FeatureExample> trainer = new TinyRun(SETTINGS).trainer(tiny, run)) {
      trainer.listen(afterStep(step -> trainer.stop()));
      trainer.trainTo(LAST);
      trainer.trainTo(LAST);
      assertThat(trainer.step()).isEqualTo(1);
    }
    try (TinyTraining tiny = TinyRun.tiny();
        Trainer<FeatureExample> trainer = new TinyRun(SETTINGS).trainer(tiny, run)) {
      trainer.resume();
      assertThat(trainer.step()).isEqualTo(1);
      trainer.trainTo(LAST);
    }
    assertSameEnd(run);
  }

  /** Whichever allocation is refused: nothing leaks, and the step can be made again. */
  @Test
  void aLimitOfMemoryStopsAStepAndNothingElse() throws IOException {
    int refused = 0;
    for (int i = 1; i < 6; i++) {
      long limit = memory.live() + i * (memory.peak() - memory.live()) / 8;
      Path run = folder.resolve("limit" + i);
      try (TinyTraining tiny = TinyRun.tiny();
          Trainer<FeatureExample> trainer =
              new TinyRun(SETTINGS.withMaxMemory(limit)).trainer(tiny, run)) {
        Throwable thrown = catchThrowable(() -> trainer.trainTo(LAST));
        if (thrown != null) {
          refused++;
          assertThat(thrown)
              .isInstanceOf(LongAlignException.class)
              .hasMessageContaining("expected at most " + String.format(Locale.ROOT, "%,d", limit))
              .hasMessageContaining("checkpointing")
              .hasMessageContaining("maxMemory");
          tiny.autograd.limitMemory(0);
          trainer.trainTo(LAST);
        }
        assertThat(trainer.step()).isEqualTo(LAST);
      }
      assertSameEnd(run);
    }
    assertThat(refused).isGreaterThanOrEqualTo(3);
  }

  @Test
  void theDataDoesNotDependOnLoaderThreads() throws IOException {
    for (int threads : new int[] {0, 1, 4}) {
      Path run = folder.resolve("threads" + threads);
      try (TinyTraining tiny = TinyRun.tiny();
          Trainer<FeatureExample> trainer = new TinyRun(SETTINGS, threads, -1).trainer(tiny, run)) {
        trainer.trainTo(LAST);
      }
      assertSameEnd(run);
    }
  }

  @Test
  void aFailedStepIsNotPartOfWhatIsSaved() {
    Path run = folder.resolve("poisoned");
    long made;
    try (TinyTraining tiny = TinyRun.tiny();
        Trainer<FeatureExample> trainer = new TinyRun(SETTINGS, 2, 2).trainer(tiny, run)) {
      assertThatThrownBy(() -> trainer.trainTo(8)).hasMessageContaining("found loss NaN");
      made = trainer.step();
      assertThat(made).isPositive();
    }
    assertThat(run.resolve(String.format(Locale.ROOT, "step-%08d/manifest.json", made))).exists();
    Map<String, float[]> resumed;
    try (TinyTraining tiny = TinyRun.tiny();
        Trainer<FeatureExample> trainer = new TinyRun(SETTINGS).trainer(tiny, run)) {
      assertThat(trainer.resume()).isTrue();
      trainer.trainTo(made + 1); // the example is whole again
      resumed = TinyRun.values(tiny);
    }
    try (TinyTraining tiny = TinyRun.tiny();
        Trainer<FeatureExample> trainer =
            new TinyRun(SETTINGS).trainer(tiny, folder.resolve("never poisoned"))) {
      trainer.trainTo(made + 1);
      TinyRun.values(tiny)
          .forEach((name, x) -> assertThat(resumed.get(name)).as(name).isEqualTo(x));
    }
  }
}
