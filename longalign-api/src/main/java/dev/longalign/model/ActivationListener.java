package dev.longalign.model;

import dev.longalign.tensor.Tensor;

/** Is shown intermediate results of a model while it runs; called on the running thread. */
@FunctionalInterface
public interface ActivationListener {
  ActivationListener NONE = (module, value) -> {};

  /**
   * @param module the state-dict name of what made it, for example {@code down_blocks.0}
   * @param value NHWC; valid during the call only, unless it is adopted into another scope
   */
  void onActivation(String module, Tensor value);
}
