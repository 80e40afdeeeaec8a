package dev.longalign.scheduler;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.Tensor;
import java.util.List;
import java.util.function.IntFunction;

/**
 * How much noise each training timestep carries: {@code x_t = sqrt(a_t) x0 + sqrt(1 - a_t) noise}
 * with {@code a_t} the product of {@code 1 - beta} up to t. Computed in f32, rounding where PyTorch
 * rounds. Immutable.
 */
public final class NoiseSchedule {
  /** What samplers that divide by alpha use for a last timestep of pure noise. */
  private static final float SMALLEST_ALPHA = 0x1p-24f;

  private final float[] betas;
  private final float[] alphasCumprod;

  private NoiseSchedule(float[] betas) {
    this.betas = betas;
    this.alphasCumprod = cumulativeProduct(betas);
  }

  public static NoiseSchedule of(SchedulerConfig.Noise config) {
    int n = config.numTrainTimesteps();
    float[] betas =
        switch (config.betaSchedule()) {
          case LINEAR -> linspace((float) config.betaStart(), (float) config.betaEnd(), n);
          case SCALED_LINEAR ->
              squares(
                  linspace(
                      (float) Math.sqrt(config.betaStart()),
                      (float) Math.sqrt(config.betaEnd()),
                      n));
          case SQUAREDCOS_CAP_V2 -> squaredCosine(n);
          case TRAINED -> toArray(config.trainedBetas());
        };
    return new NoiseSchedule(config.zeroTerminalSnr() ? zeroTerminalSnr(betas) : betas);
  }

  /** The number of training timesteps. */
  public int size() {
    return betas.length;
  }

  public float[] betas() {
    return betas.clone();
  }

  public float[] alphasCumprod() {
    return alphasCumprod.clone();
  }

  /** The cumulative alpha of a timestep in [0, size). */
  public float alphaCumprod(int timestep) {
    if (timestep < 0 || timestep >= alphasCumprod.length) {
      throw new LongAlignException(
          "timestep: expected 0 to " + (alphasCumprod.length - 1) + ", found " + timestep);
    }
    return alphasCumprod[timestep];
  }

  /** The factor of x0 at a timestep. */
  public float alpha(int timestep) {
    return (float) Math.sqrt(alphaCumprod(timestep));
  }

  /** The factor of the noise at a timestep. */
  public float sigma(int timestep) {
    return (float) Math.sqrt(1 - alphaCumprod(timestep));
  }

  /**
   * Noise per unit of signal, sigma / alpha, of every timestep; finite even where the signal is
   * gone.
   */
  public float[] sigmas() {
    float[] sigmas = new float[alphasCumprod.length];
    for (int t = 0; t < sigmas.length; t++) {
      float a = alphasCumprod[t] == 0 ? SMALLEST_ALPHA : alphasCumprod[t];
      sigmas[t] = (float) Math.sqrt((1 - a) / a);
    }
    return sigmas;
  }

  // ---- on batches, with one timestep per row of the first axis

  /** {@code alpha x0 + sigma noise}. */
  public Tensor addNoise(Tensor x0, Tensor noise, int... timesteps) {
    return combine(t -> new PredictionType.Mix(alpha(t), sigma(t)), timesteps, x0, noise);
  }

  /** {@code alpha noise - sigma x0}, the target of v-prediction. */
  public Tensor velocity(Tensor x0, Tensor noise, int... timesteps) {
    return combine(t -> new PredictionType.Mix(-sigma(t), alpha(t)), timesteps, x0, noise);
  }

  /** x0 as the network sees it from its output at x. */
  public Tensor predictedOriginal(PredictionType type, Tensor output, Tensor x, int... timesteps) {
    return combine(t -> type.original(alpha(t), sigma(t)), timesteps, x, output);
  }

  /** The noise as the network sees it from its output at x. */
  public Tensor predictedNoise(PredictionType type, Tensor output, Tensor x, int... timesteps) {
    return combine(t -> type.noise(alpha(t), sigma(t)), timesteps, x, output);
  }

  private static Tensor combine(
      IntFunction<PredictionType.Mix> mix, int[] timesteps, Tensor a, Tensor b) {
    double[][] coefficients = new double[timesteps.length][];
    for (int row = 0; row < timesteps.length; row++) {
      PredictionType.Mix m = mix.apply(timesteps[row]);
      coefficients[row] = new double[] {m.sample(), m.output()};
    }
    return Combination.perRow(coefficients, a, b);
  }

  // ---- the arithmetic of training code, in f32

  /**
   * As {@code torch.linspace} in f32 on x86-64: counted from the nearer end, with fused
   * multiply-adds.
   */
  static float[] linspace(float start, float end, int n) {
    float step = (end - start) / (n - 1);
    float[] values = new float[n];
    for (int i = 0; i < n; i++) {
      values[i] = i < n / 2 ? Math.fma(step, i, start) : Math.fma(-step, n - 1 - i, end);
    }
    return values;
  }

  private static float[] squares(float[] values) {
    for (int i = 0; i < values.length; i++) {
      values[i] *= values[i];
    }
    return values;
  }

  /** Nichol and Dhariwal's cosine schedule (arXiv 2102.09672), beta at most 0.999. */
  private static float[] squaredCosine(int n) {
    float[] betas = new float[n];
    for (int i = 0; i < n; i++) {
      double ratio = cosineAlpha((i + 1.0) / n) / cosineAlpha((double) i / n);
      betas[i] = (float) Math.min(1 - ratio, 0.999);
    }
    return betas;
  }

  private static double cosineAlpha(double t) {
    double c = Math.cos((t + 0.008) / 1.008 * Math.PI / 2);
    return c * c;
  }

  /**
   * Algorithm 1 of arXiv 2305.08891: shift sqrt(a) so that it ends at 0 and still starts where it
   * did.
   */
  private static float[] zeroTerminalSnr(float[] betas) {
    float[] root = cumulativeProduct(betas);
    int n = root.length;
    for (int t = 0; t < n; t++) {
      root[t] = (float) Math.sqrt(root[t]);
    }
    float first = root[0];
    float last = root[n - 1];
    float scale = first / (first - last);
    float[] rescaled = new float[n];
    float previous = 1;
    for (int t = 0; t < n; t++) {
      float shifted = (root[t] - last) * scale;
      float a = shifted * shifted;
      rescaled[t] = 1 - a / previous;
      previous = a;
    }
    return rescaled;
  }

  /** As {@code torch.cumprod} of f32 on a CPU, which accumulates in double. */
  private static float[] cumulativeProduct(float[] betas) {
    float[] products = new float[betas.length];
    double product = 1;
    for (int t = 0; t < betas.length; t++) {
      product *= 1 - betas[t];
      products[t] = (float) product;
    }
    return products;
  }

  private static float[] toArray(List<Float> values) {
    float[] array = new float[values.size()];
    for (int i = 0; i < array.length; i++) {
      array[i] = values.get(i);
    }
    return array;
  }
}
