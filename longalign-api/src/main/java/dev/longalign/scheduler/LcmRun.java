package dev.longalign.scheduler;

import dev.longalign.tensor.Tensor;
import java.util.function.Supplier;

/**
 * Algorithm 2 of arXiv 2303.01469 on a latent consistency model: jump to x0, add noise back,
 * repeat.
 */
final class LcmRun extends DiscreteRun {
  LcmRun(SchedulerConfig config, int[] timesteps, int first) {
    super(config, timesteps, first);
  }

  @Override
  Tensor advance(int k, Tensor output, Tensor x, Supplier<Tensor> noise) {
    double cSkip = 0;
    double cOut = 1;
    if (config.consistency().boundaryScalings()) {
      ConsistencyBoundary boundary =
          new ConsistencyBoundary(0.5, config.consistency().timestepScaling());
      cSkip = boundary.cSkip(timestepAt(k));
      cOut = boundary.cOut(timestepAt(k));
    }
    if (k + 1 == total()) {
      return combine(k, cSkip, 0, cOut, 0, output, x, null);
    }
    double aNext = alphaCumprod(k + 1);
    double signal = Math.sqrt(aNext);
    return combine(
        k, signal * cSkip, 0, signal * cOut, Math.sqrt(1 - aNext), output, x, noise.get());
  }
}
