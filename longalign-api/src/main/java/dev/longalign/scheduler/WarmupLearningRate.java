package dev.longalign.scheduler;

import dev.longalign.LongAlignException;

/**
 * A learning rate that grows linearly from 0 and then stays.
 *
 * @param peak reached after the warm-up, for example 3e-5
 * @param warmupSteps optimiser steps until then, for example 2000; 0 means none
 */
public record WarmupLearningRate(double peak, int warmupSteps) {
  public WarmupLearningRate {
    if (!(peak >= 0) || warmupSteps < 0) {
      throw new LongAlignException(
          "learning rate: expected a peak and warm-up steps of at least 0, found "
              + peak
              + " and "
              + warmupSteps);
    }
  }

  /** The rate of an optimiser step, counted from 0; that of step 0 is 0 if there is a warm-up. */
  public double at(long step) {
    return step >= warmupSteps ? peak : peak * ((double) step / warmupSteps);
  }
}
