package dev.longalign.training;

/** Looks at how well the model in training does; see {@link Trainer#validate}. */
@FunctionalInterface
public interface Validation {

  /**
   * Called between steps, on the thread that trains: nothing is recorded for gradients, dropout is
   * off, the parameters are the averaged ones if the run has them, and a scope is open that is
   * closed afterwards. May not draw from what training draws from.
   *
   * @param step how many have been made
   */
  ValidationReport validate(long step);

  /**
   * Whether {@link #validate} was made after this step, by a process that was then killed or not: a
   * resumed run makes what is missing. True where nothing is kept to tell by.
   */
  default boolean isMade(long step) {
    return true;
  }
}
