package dev.longalign.training;

import java.nio.file.Path;

/** Is told what happens, on the thread that trains. */
public interface TrainingListener {
  /** After every step. */
  default void onStep(StepReport step) {}

  /** After a checkpoint is complete on disk. */
  default void onSaved(long step, Path checkpoint) {}
}
