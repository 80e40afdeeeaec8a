package dev.longalign.scheduler;

import dev.longalign.scheduler.SchedulerConfig.TimestepSpacing;
import dev.longalign.tensor.Tensor;
import java.util.function.Supplier;

/**
 * Algorithm 2 of arXiv 2206.00364 without churn, and its ancestral variant. Here {@code x = x0 +
 * sigma noise}.
 */
final class EulerRun extends SchedulerRun {
  private final SchedulerConfig config;
  private final SigmaGrid grid;
  private final boolean ancestral;

  EulerRun(SchedulerConfig config, SigmaGrid grid, int first, boolean ancestral) {
    super(grid.timesteps(), first);
    this.config = config;
    this.grid = grid.beginning(first);
    this.ancestral = ancestral;
  }

  @Override
  public float initNoiseSigma() {
    float max = grid.max();
    return config.timestepSpacing() == TimestepSpacing.LEADING
        ? (float) Math.sqrt(max * max + 1)
        : max;
  }

  @Override
  double inputScale(int k) {
    double sigma = grid.sigmas()[k];
    return 1 / Math.sqrt(sigma * sigma + 1);
  }

  @Override
  Tensor advance(int k, Tensor output, Tensor x, Supplier<Tensor> noise) {
    double from = grid.sigmas()[k];
    double to = grid.sigmas()[k + 1];
    double up = ancestral ? to * Math.sqrt(Math.max(from * from - to * to, 0)) / from : 0;
    double down = Math.sqrt(Math.max(to * to - up * up, 0));
    // x + (x - x0) / from * (down - from) = down / from * x + (1 - down / from) * x0
    double keep = down / from;
    PredictionType.Mix x0 = mix(from);
    double cx = keep + (1 - keep) * x0.sample();
    double cOutput = (1 - keep) * x0.output();
    return ancestral
        ? Combination.of(new double[] {cx, cOutput, up}, x, output, noise.get())
        : Combination.of(new double[] {cx, cOutput}, x, output);
  }

  @Override
  Tensor original(int k, Tensor output, Tensor x) {
    PredictionType.Mix x0 = mix(grid.sigmas()[k]);
    return Combination.of(new double[] {x0.sample(), x0.output()}, x, output);
  }

  private PredictionType.Mix mix(double sigma) {
    double square = sigma * sigma + 1;
    return switch (config.predictionType()) {
      case EPSILON -> new PredictionType.Mix(1, -sigma);
      case V_PREDICTION -> new PredictionType.Mix(1 / square, -sigma / Math.sqrt(square));
      case SAMPLE -> new PredictionType.Mix(0, 1);
    };
  }

  @Override
  PredictionType.Mix noising(int k) {
    return new PredictionType.Mix(1, grid.sigmas()[k]);
  }
}
