package dev.longalign.model;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;

/**
 * A normal distribution over latents with independent elements, on the host: latents are small (a
 * 512 x 512 picture has 16 thousand), and what is drawn from them is the input of everything else.
 *
 * <p>Reference: diffusers {@code DiagonalGaussianDistribution}.
 */
public final class DiagonalGaussian {
  private static final float MIN_LOG_VARIANCE = -30;
  private static final float MAX_LOG_VARIANCE = 20;

  private final Backend backend;
  private final Shape shape;
  private final float[] mean;
  private final float[] std;

  private DiagonalGaussian(Backend backend, Shape shape, float[] mean, float[] std) {
    this.backend = backend;
    this.shape = shape;
    this.mean = mean;
    this.std = std;
  }

  /** From moments [B, h, w, 2 * latent]: mean, then log variance, which is limited to [-30, 20]. */
  public static DiagonalGaussian of(Tensor moments) {
    int latent = moments.dim(3) / 2;
    float[] values = moments.toFloats();
    float[] mean = new float[values.length / 2];
    float[] std = new float[values.length / 2];
    for (int i = 0; i < mean.length; i++) {
      int at = i / latent * 2 * latent + i % latent;
      float logVariance =
          Math.max(MIN_LOG_VARIANCE, Math.min(MAX_LOG_VARIANCE, values[at + latent]));
      mean[i] = values[at];
      std[i] = (float) Math.exp(0.5f * logVariance);
    }
    return new DiagonalGaussian(moments.backend(), moments.shape().with(3, latent), mean, std);
  }

  /** [B, h, w, latent]. */
  public Shape shape() {
    return shape;
  }

  /** The most likely latents, f32. */
  public Tensor mean() {
    return Tensor.of(backend, shape, mean);
  }

  /** The standard deviation of each latent, f32. */
  public Tensor std() {
    return Tensor.of(backend, shape, std);
  }

  /**
   * {@code mean + std * noise}, f32.
   *
   * @param noise standard normal [N, h, w, latent]: as many draws as there are rows, or any number
   *     of one row's
   */
  public Tensor sample(Tensor noise) {
    boolean fits = shape.dim(0) == 1 ? noise.shape().rank() == 4 : noise.dim(0) == shape.dim(0);
    if (!fits || !noise.shape().with(0, shape.intDim(0)).equals(shape)) {
      throw new LongAlignException(
          "VAE sample: expected noise " + shape + ", found " + noise.shape());
    }
    float[] values = noise.toFloats();
    for (int i = 0; i < values.length; i++) {
      values[i] = mean[i % mean.length] + std[i % mean.length] * values[i];
    }
    return Tensor.of(backend, noise.shape(), values);
  }
}
