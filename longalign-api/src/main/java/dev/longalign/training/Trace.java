package dev.longalign.training;

import dev.longalign.tensor.Tensor;

/**
 * Is told the values on the way to a loss, by name: to look into a step that went wrong, or to
 * compare it with another implementation.
 */
@FunctionalInterface
public interface Trace {
  /** Looks at nothing. */
  Trace NONE = (name, value) -> {};

  /**
   * @param name as the objective's documentation lists it
   * @param value belongs to the scope of the step
   */
  void value(String name, Tensor value);
}
