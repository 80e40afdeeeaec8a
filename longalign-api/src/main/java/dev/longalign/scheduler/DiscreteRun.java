package dev.longalign.scheduler;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.Tensor;

/** What the methods share that step between whole training timesteps: DDIM, DDPM, LCM. */
abstract class DiscreteRun extends SchedulerRun {
  final SchedulerConfig config;
  private final NoiseSchedule schedule;
  private final int[] timesteps;

  DiscreteRun(SchedulerConfig config, int[] timesteps, int first) {
    super(toFloats(timesteps), first);
    this.config = config;
    this.schedule = NoiseSchedule.of(config.noise());
    this.timesteps = timesteps;
    if (timesteps[first] >= schedule.size()) {
      throw new LongAlignException(
          "the first of "
              + (timesteps.length - first)
              + " steps would be timestep "
              + timesteps[first]
              + " of "
              + schedule.size()
              + " ("
              + config.timestepSpacing()
              + " with steps_offset "
              + config.stepsOffset()
              + "); use fewer steps");
    }
    if (config.predictionType() == PredictionType.EPSILON
        && schedule.alphaCumprod(timesteps[first]) == 0) {
      throw new LongAlignException(
          "prediction_type: expected v_prediction or sample, found epsilon: timestep "
              + timesteps[first]
              + " is pure noise (rescale_betas_zero_snr), which epsilon cannot be turned back from");
    }
  }

  final int timestepAt(int k) {
    return timesteps[k];
  }

  /** The cumulative alpha of step k's timestep. */
  final double alphaCumprod(int k) {
    return schedule.alphaCumprod(timesteps[k]);
  }

  /** The cumulative alpha of a timestep, or what stands for it before the first. */
  final double alphaCumprodAt(int timestep, double beforeFirst) {
    return timestep < 0 ? beforeFirst : schedule.alphaCumprod(timestep);
  }

  final double alphaCumprodOfFirst() {
    return schedule.alphaCumprod(0);
  }

  final PredictionType.Mix originalMix(int k) {
    double a = alphaCumprod(k);
    return config.predictionType().original(Math.sqrt(a), Math.sqrt(1 - a));
  }

  final PredictionType.Mix noiseMix(int k) {
    double a = alphaCumprod(k);
    return config.predictionType().noise(Math.sqrt(a), Math.sqrt(1 - a));
  }

  @Override
  final Tensor original(int k, Tensor output, Tensor x) {
    PredictionType.Mix mix = originalMix(k);
    Tensor x0 = Combination.of(new double[] {mix.sample(), mix.output()}, x, output);
    float range = (float) config.clipSampleRange();
    return config.clipSample() ? x0.clamp(-range, range) : x0;
  }

  /**
   * {@code cx x + cOutput output + c0 x0 + cNoise noise}, in one pass unless x0 has to be clipped.
   *
   * @param noise null where cNoise is 0
   */
  final Tensor combine(
      int k,
      double cx,
      double cOutput,
      double c0,
      double cNoise,
      Tensor output,
      Tensor x,
      Tensor noise) {
    Tensor z = noise == null ? x : noise;
    if (config.clipSample()) {
      Tensor x0 = original(k, output, x);
      return Combination.of(new double[] {cx, cOutput, c0, cNoise}, x, output, x0, z);
    }
    PredictionType.Mix mix = originalMix(k);
    return Combination.of(
        new double[] {cx + c0 * mix.sample(), cOutput + c0 * mix.output(), cNoise}, x, output, z);
  }

  @Override
  final PredictionType.Mix noising(int k) {
    double a = alphaCumprod(k);
    return new PredictionType.Mix(Math.sqrt(a), Math.sqrt(1 - a));
  }

  private static float[] toFloats(int[] timesteps) {
    float[] floats = new float[timesteps.length];
    for (int i = 0; i < floats.length; i++) {
      floats[i] = timesteps[i];
    }
    return floats;
  }
}
