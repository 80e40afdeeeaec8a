package dev.longalign.scheduler;

import dev.longalign.tensor.Tensor;
import java.util.function.Supplier;

/** Equations 6 and 7 of arXiv 2006.11239, between any two timesteps. */
final class DdpmRun extends DiscreteRun {
  private static final double SMALLEST_VARIANCE = 1e-20;

  DdpmRun(SchedulerConfig config, int[] timesteps, int first) {
    super(config, timesteps, first);
  }

  @Override
  Tensor advance(int k, Tensor output, Tensor x, Supplier<Tensor> noise) {
    double a = alphaCumprod(k);
    double aPrevious = k + 1 < total() ? alphaCumprod(k + 1) : 1;
    double stepAlpha = a / aPrevious;
    double stepBeta = 1 - stepAlpha;
    double c0 = Math.sqrt(aPrevious) * stepBeta / (1 - a);
    double cx = Math.sqrt(stepAlpha) * (1 - aPrevious) / (1 - a);
    boolean addsNoise = timestepAt(k) > 0;
    double deviation = addsNoise ? deviation((1 - aPrevious) / (1 - a) * stepBeta, stepBeta) : 0;
    return combine(k, cx, 0, c0, deviation, output, x, addsNoise ? noise.get() : null);
  }

  private double deviation(double posterior, double beta) {
    return switch (config.varianceType()) {
      case FIXED_SMALL, FIXED_SMALL_LOG -> Math.sqrt(Math.max(posterior, SMALLEST_VARIANCE));
      case FIXED_LARGE -> Math.sqrt(beta);
    };
  }
}
