package dev.longalign.scheduler;

import dev.longalign.LongAlignException;

/** Which training timesteps are visited, noisiest first. Rounding is NumPy's, half to even. */
final class Timesteps {
  private Timesteps() {}

  /** DDIM and DDPM: whole timesteps. */
  static int[] discrete(SchedulerConfig config, int steps) {
    double[] spaced = spaced(config, steps);
    int[] timesteps = new int[steps];
    for (int i = 0; i < steps; i++) {
      timesteps[i] = (int) Math.rint(spaced[i]);
    }
    return timesteps;
  }

  /** {@code steps} timesteps, not rounded for linspace. */
  static double[] spaced(SchedulerConfig config, int steps) {
    int n = config.noise().numTrainTimesteps();
    double[] timesteps = new double[steps];
    for (int i = 0; i < steps; i++) {
      int back = steps - 1 - i;
      timesteps[i] =
          switch (config.timestepSpacing()) {
            case LINSPACE -> steps == 1 ? 0 : i == 0 ? n - 1 : back * ((n - 1.0) / (steps - 1));
            case LEADING -> (double) ((long) back * Math.floorDiv(n, steps) + config.stepsOffset());
            case TRAILING -> trailing(n, n, steps, i);
          };
    }
    return timesteps;
  }

  /**
   * UniPC and DPM-Solver++: spaced as one step more, of which the last, at timestep 0, is left out.
   *
   * @param last one more than the noisiest timestep to start from
   */
  static int[] solver(SchedulerConfig config, int steps, int last) {
    int n = config.noise().numTrainTimesteps();
    int[] timesteps = new int[steps];
    for (int i = 0; i < steps; i++) {
      timesteps[i] =
          switch (config.timestepSpacing()) {
            case LINSPACE ->
                (int) Math.rint(i == 0 ? last - 1 : (steps - i) * ((last - 1.0) / steps));
            case LEADING -> (steps - i) * (last / (steps + 1)) + config.stepsOffset();
            // Ends at -1, as diffusers tells the network, if there are more steps than timesteps.
            case TRAILING -> (int) Math.max(trailing(n, last, steps, i), last < n ? 0 : -1);
          };
    }
    return timesteps;
  }

  /** As numpy's arange counts: by the difference of its first two numbers. */
  private static double trailing(int n, int last, int steps, int i) {
    double stride = last - (double) n / steps - last;
    return Math.rint(last + i * stride) - 1;
  }

  /** LCM: evenly chosen among the timesteps that the model was distilled with. */
  static int[] consistency(SchedulerConfig config, int steps, double strength) {
    int n = config.noise().numTrainTimesteps();
    int original = config.consistency().originalInferenceSteps();
    if (original > n) {
      throw new LongAlignException(
          "LCM: original_inference_steps: expected at most "
              + n
              + " training timesteps, found "
              + original);
    }
    int available = (int) (original * strength);
    if (steps > available) {
      throw new LongAlignException(
          "LCM: expected at most "
              + available
              + " steps ("
              + original
              + " steps of the distilled model x strength "
              + strength
              + "), found "
              + steps);
    }
    int[] timesteps = new int[steps];
    for (int i = 0; i < steps; i++) {
      int index = (int) Math.floor(i * ((double) available / steps));
      timesteps[i] = (available - index) * (n / original) - 1;
    }
    return timesteps;
  }
}
