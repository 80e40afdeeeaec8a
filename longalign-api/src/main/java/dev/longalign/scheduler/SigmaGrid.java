package dev.longalign.scheduler;

import dev.longalign.LongAlignException;
import dev.longalign.scheduler.SchedulerConfig.BetaSchedule;
import dev.longalign.scheduler.SchedulerConfig.FinalSigma;

/**
 * A walk down the noise levels.
 *
 * @param timesteps what the network is told, one per step; fractions occur
 * @param sigmas noise per unit of signal, before each step and after the last (one more)
 */
record SigmaGrid(float[] timesteps, float[] sigmas) {
  private static final double RHO = 7;

  /**
   * For UniPC and DPM-Solver++.
   *
   * @param roundAlways whether Karras timesteps are rounded for the cosine schedule too, or cut off
   */
  static SigmaGrid forSolver(SchedulerConfig config, int steps, boolean roundAlways) {
    float[] training = NoiseSchedule.of(config.noise()).sigmas();
    double[] timesteps = new double[steps];
    double[] sigmas;
    if (config.karrasSigmas()) {
      sigmas = karras(training[0], training[training.length - 1], steps);
      boolean round =
          roundAlways || config.noise().betaSchedule() != BetaSchedule.SQUAREDCOS_CAP_V2;
      for (int i = 0; i < steps; i++) {
        double t = timestep(sigmas[i], training);
        timesteps[i] = (int) (round ? Math.rint(t) : t);
      }
    } else {
      int[] whole =
          Timesteps.solver(config, steps, clipped(training, config.solver().lambdaMinClipped()));
      for (int i = 0; i < steps; i++) {
        timesteps[i] = whole[i];
      }
      sigmas = interpolate(timesteps, training);
    }
    double last = sigmas[steps - 1];
    return withLast(config, timesteps, sigmas, config.karrasSigmas() ? last : training[0]);
  }

  /** For the Euler methods, which also visit fractions of timesteps. */
  static SigmaGrid forEuler(SchedulerConfig config, int steps) {
    float[] training = NoiseSchedule.of(config.noise()).sigmas();
    double[] timesteps = Timesteps.spaced(config, steps);
    for (int i = 0; i < steps; i++) {
      timesteps[i] = (float) timesteps[i];
    }
    double[] sigmas = interpolate(timesteps, training);
    if (config.karrasSigmas()) {
      sigmas = karras(sigmas[steps - 1], sigmas[0], steps);
      for (int i = 0; i < steps; i++) {
        timesteps[i] = timestep(sigmas[i], training);
      }
    }
    return withLast(config, timesteps, sigmas, training[0]);
  }

  /** The noisiest level. */
  float max() {
    float max = 0;
    for (float sigma : sigmas) {
      max = Math.max(max, sigma);
    }
    return max;
  }

  private static SigmaGrid withLast(
      SchedulerConfig config, double[] timesteps, double[] sigmas, double sigmaMin) {
    int steps = timesteps.length;
    float[] t = new float[steps];
    float[] s = new float[steps + 1];
    for (int i = 0; i < steps; i++) {
      t[i] = (float) timesteps[i];
      s[i] = (float) sigmas[i];
    }
    s[steps] = config.finalSigma() == FinalSigma.ZERO ? 0 : (float) sigmaMin;
    return new SigmaGrid(t, s);
  }

  /**
   * The steps from {@code first} on fall all the way: two at one noise level make multistep solvers
   * divide by zero, unless they are the only ones. Only the last step may stand still.
   */
  SigmaGrid falling(int first) {
    for (int i = first + 1; i < timesteps.length && timesteps.length - first > 2; i++) {
      if (!(sigmas[i] < sigmas[i - 1])) {
        throw standingStill(i);
      }
    }
    return this;
  }

  /** The steps from {@code first} on do not begin twice at the same timestep. */
  SigmaGrid beginning(int first) {
    if (first == 0 && timesteps.length > 1 && timesteps[0] == timesteps[1]) {
      throw standingStill(1);
    }
    return this;
  }

  private LongAlignException standingStill(int i) {
    return new LongAlignException(
        "of "
            + timesteps.length
            + " steps, numbers "
            + i
            + " and "
            + (i + 1)
            + " fall on one noise level (timestep "
            + timesteps[i]
            + "); use fewer steps");
  }

  /** One more than the noisiest timestep whose log(alpha / sigma) is not below the limit. */
  private static int clipped(float[] training, double lambdaMin) {
    int last = training.length;
    while (last > 1 && -Math.log(training[last - 1]) < lambdaMin) {
      last--;
    }
    return last;
  }

  private static double[] interpolate(double[] timesteps, float[] training) {
    double[] sigmas = new double[timesteps.length];
    for (int i = 0; i < sigmas.length; i++) {
      int low = (int) Math.min(Math.max(Math.floor(timesteps[i]), 0), training.length - 1);
      int high = Math.min(low + 1, training.length - 1);
      double weight = Math.min(Math.max(timesteps[i] - low, 0), 1);
      sigmas[i] = training[low] + weight * ((double) training[high] - training[low]);
    }
    return sigmas;
  }

  /** Equation 5 of arXiv 2206.00364. */
  private static double[] karras(double min, double max, int steps) {
    double from = Math.pow(max, 1 / RHO);
    double to = Math.pow(min, 1 / RHO);
    double[] sigmas = new double[steps];
    for (int i = 0; i < steps; i++) {
      double ramp = steps == 1 ? 0 : (double) i / (steps - 1);
      sigmas[i] = Math.pow(from + ramp * (to - from), RHO);
    }
    return sigmas;
  }

  /** The (fractional) timestep of a noise level, linear in its logarithm. */
  private static double timestep(double sigma, float[] training) {
    double log = Math.log(Math.max(sigma, 1e-10));
    int low = 0;
    while (low < training.length - 2 && log(training, low + 1) <= log) {
      low++;
    }
    double w = (log(training, low) - log) / (log(training, low) - log(training, low + 1));
    w = Math.min(Math.max(w, 0), 1);
    return (1 - w) * low + w * (low + 1);
  }

  private static double log(float[] training, int t) {
    return (float) Math.log(training[t]);
  }
}
