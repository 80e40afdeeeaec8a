package dev.longalign.scheduler;

import dev.longalign.LongAlignException;
import dev.longalign.scheduler.SchedulerConfig.TimestepSpacing;

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
    return checked(config, timesteps);
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
    int[] timesteps = new int[steps];
    for (int i = 0; i < steps; i++) {
      timesteps[i] =
          switch (config.timestepSpacing()) {
            case LINSPACE ->
                (int) Math.rint(i == 0 ? last - 1 : (steps - i) * ((last - 1.0) / steps));
            case LEADING -> (steps - i) * (last / (steps + 1)) + config.stepsOffset();
            case TRAILING -> (int) trailing(config.noise().numTrainTimesteps(), last, steps, i);
          };
    }
    return timesteps;
  }

  private static double trailing(int n, int last, int steps, int i) {
    return Math.max(Math.rint(last - i * ((double) n / steps)) - 1, 0);
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

  private static int[] checked(SchedulerConfig config, int[] timesteps) {
    int n = config.noise().numTrainTimesteps();
    if (timesteps[0] >= n) {
      throw new LongAlignException(
          "the first of "
              + timesteps.length
              + " steps would be timestep "
              + timesteps[0]
              + " of "
              + n
              + " ("
              + TimestepSpacing.LEADING
              + " with steps_offset "
              + config.stepsOffset()
              + "); use fewer steps");
    }
    return timesteps;
  }
}
