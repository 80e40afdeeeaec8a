package dev.longalign.scheduler;

import dev.longalign.tensor.Tensor;
import java.util.function.Supplier;

/** Equation 12 of arXiv 2010.02502. */
final class DdimRun extends DiscreteRun {
  DdimRun(SchedulerConfig config, int[] timesteps, int first) {
    super(config, timesteps, first);
  }

  @Override
  Tensor advance(int k, Tensor output, Tensor x, Supplier<Tensor> noise) {
    // The stride is that of evenly spaced steps, whatever the spacing of the timesteps.
    int previous = timestepAt(k) - config.noise().numTrainTimesteps() / total();
    double a = alphaCumprod(k);
    double aPrevious = alphaCumprodAt(previous, config.setAlphaToOne() ? 1 : alphaCumprodOfFirst());
    double variance = (1 - aPrevious) / (1 - a) * (1 - a / aPrevious);
    double deviation = config.eta() * Math.sqrt(variance);
    double direction = Math.sqrt(Math.max(1 - aPrevious - deviation * deviation, 0));
    PredictionType.Mix eps = noiseMix(k);
    return combine(
        k,
        direction * eps.sample(),
        direction * eps.output(),
        Math.sqrt(aPrevious),
        deviation,
        output,
        x,
        config.eta() > 0 ? noise.get() : null);
  }
}
