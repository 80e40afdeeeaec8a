package dev.longalign.nn;

import dev.longalign.tensor.Activation;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Epilogue;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;

/**
 * Sinusoidal timesteps (Ho et al. 2020), then {@code linear_1}, SiLU, {@code linear_2}. Networks
 * with distilled guidance (Meng et al. 2023) have {@code cond_proj} of the guidance scale's
 * sinusoids added to those of the timestep.
 */
public final class TimestepEmbedding {
  private static final double MAX_PERIOD = 10_000;

  private final int channels;
  private final boolean flipSinToCos;
  private final float freqShift;
  private final int condDim;
  private final Linear condProj;
  private final Linear linear1;
  private final Linear linear2;

  /**
   * @param channels of the sinusoids, even
   * @param flipSinToCos whether the cosines come first
   * @param freqShift subtracted from the number of frequencies in the exponent
   * @param condDim of the guidance scale's sinusoids; 0 for none
   */
  public TimestepEmbedding(
      Weights weights,
      int channels,
      int embedDim,
      boolean flipSinToCos,
      float freqShift,
      int condDim) {
    this.channels = channels;
    this.flipSinToCos = flipSinToCos;
    this.freqShift = freqShift;
    this.condDim = condDim;
    this.condProj =
        condDim == 0 ? null : new Linear(weights.at("cond_proj"), condDim, channels, false);
    this.linear1 = new Linear(weights.at("linear_1"), channels, embedDim, true);
    this.linear2 = new Linear(weights.at("linear_2"), embedDim, embedDim, true);
  }

  /** What {@link #forward} takes, f32 [B, C]. */
  public Tensor sinusoids(Backend backend, float[] timesteps) {
    return Tensor.of(backend, Shape.of(timesteps.length, channels), sinusoids(timesteps));
  }

  /** The same with a guidance scale, which is left out where the network is not told it. */
  public Tensor sinusoids(Backend backend, float guidanceScale, DType dtype, float[] timesteps) {
    Tensor times = sinusoids(backend, timesteps); // [B, C]
    if (condProj == null) {
      return times;
    }
    Tensor guidance = guidance(backend, guidanceScale, timesteps.length); // [B, condDim]
    return times.add(condProj.forward(guidance.cast(dtype)).cast(DType.F32)); // [B, C]
  }

  /** diffusers' get_guidance_scale_embedding, for the scale less 1, as its pipelines call it. */
  private Tensor guidance(Backend backend, float guidanceScale, int rows) {
    int half = condDim / 2;
    float[] values = new float[rows * condDim]; // an odd width ends with 0
    float exponent = (float) Math.log(MAX_PERIOD) / (half - 1);
    for (int i = 0; i < half; i++) {
      float angle = (guidanceScale - 1) * 1000 * (float) Math.exp(i * -exponent);
      for (int b = 0; b < rows; b++) {
        values[b * condDim + i] = (float) Math.sin(angle);
        values[b * condDim + half + i] = (float) Math.cos(angle);
      }
    }
    return Tensor.of(backend, Shape.of(rows, condDim), values);
  }

  /** One embedding per timestep, [B, embedDim]. */
  public Tensor forward(Tensor sinusoids, DType dtype) {
    try (TensorScope scope = TensorScope.open()) {
      Tensor t = sinusoids.cast(dtype); // [B, C]
      Tensor h = linear1.forward(t, Epilogue.activation(Activation.SILU)); // [B, D]
      return scope.keep(linear2.forward(h)); // [B, D]
    }
  }

  /**
   * In f32 throughout, as the reference does: at t = 999 a frequency in f64 would already differ by
   * 1e-5.
   */
  private float[] sinusoids(float[] timesteps) {
    int half = channels / 2;
    float[] values = new float[timesteps.length * channels];
    for (int i = 0; i < half; i++) {
      float exponent = (float) -Math.log(MAX_PERIOD) * i / (half - freqShift);
      float frequency = (float) Math.exp(exponent);
      for (int b = 0; b < timesteps.length; b++) {
        float angle = timesteps[b] * frequency;
        int sin = b * channels + (flipSinToCos ? half + i : i);
        int cos = b * channels + (flipSinToCos ? i : half + i);
        values[sin] = (float) Math.sin(angle);
        values[cos] = (float) Math.cos(angle);
      }
    }
    return values;
  }
}
