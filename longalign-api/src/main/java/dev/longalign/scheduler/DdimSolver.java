package dev.longalign.scheduler;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.Tensor;

/**
 * The deterministic DDIM steps of LongAlign's training code: evenly strided timesteps, one timestep
 * per row, and the alpha of timestep 0 (never 1) where a step would go below it. Differentiable:
 * only linear combinations.
 *
 * @param schedule the noise schedule of training
 * @param ddimSteps how many steps the training timesteps are divided into (50)
 */
public record DdimSolver(NoiseSchedule schedule, int ddimSteps) {
  public DdimSolver {
    if (ddimSteps < 1 || ddimSteps > schedule.size()) {
      throw new LongAlignException(
          "DDIM steps: expected 1 to " + schedule.size() + ", found " + ddimSteps);
    }
  }

  /** Training timesteps per step: 20 for 50 of 1000. */
  public int stride() {
    return schedule.size() / ddimSteps;
  }

  /** The timesteps, noisiest first: 999, 979, ..., 19 for 50 of 1000; 999, 749, 499, 249 for 4. */
  public int[] timesteps() {
    int[] timesteps = new int[ddimSteps];
    for (int i = 0; i < ddimSteps; i++) {
      timesteps[i] = (ddimSteps - i) * stride() - 1;
    }
    return timesteps;
  }

  /** Where a step from a timestep goes: one stride down, at least 0. */
  public int previous(int timestep) {
    return Math.max(timestep - stride(), 0);
  }

  /**
   * One step from each row's timestep.
   *
   * @param x0 the predicted clean latents
   * @param noise the predicted noise
   */
  public Tensor step(Tensor x0, Tensor noise, int... timesteps) {
    int[] targets = new int[timesteps.length];
    for (int i = 0; i < targets.length; i++) {
      targets[i] = previous(timesteps[i]);
    }
    return stepTo(x0, noise, targets);
  }

  /** A step to the given timesteps; those below 0 mean 0. */
  public Tensor stepTo(Tensor x0, Tensor noise, int... targets) {
    int[] clamped = new int[targets.length];
    for (int i = 0; i < targets.length; i++) {
      clamped[i] = Math.max(targets[i], 0);
    }
    return schedule.addNoise(x0, noise, clamped);
  }
}
