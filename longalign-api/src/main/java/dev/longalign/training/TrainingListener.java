package dev.longalign.training;

import dev.longalign.data.Skip;
import java.nio.file.Path;

/**
 * Is told what happens, on the thread that trains. Calls should be short; what they throw ends the
 * training.
 */
public interface TrainingListener {
  /**
   * Before the first step that this trainer makes.
   *
   * @param step how many have been made: 0, or where the run was stopped. What was told of later
   *     steps no longer counts
   */
  default void onStart(long step) {}

  /** After every step. */
  default void onStep(StepReport step) {}

  /** After a checkpoint is complete on disk. */
  default void onSaved(long step, Path checkpoint) {}

  /** After a validation. */
  default void onValidated(ValidationReport report) {}

  /**
   * After a step before which an example could not be used: once for each example, however often
   * epochs meet it. The first {@link dev.longalign.data.SkipReport#MAX_NAMED} are told.
   */
  default void onSkipped(long step, Skip skip) {}
}
