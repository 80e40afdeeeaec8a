package dev.longalign.training;

import dev.longalign.LongAlignException;
import dev.longalign.model.AutoencoderKL;
import dev.longalign.preference.CommonDirection;
import dev.longalign.preference.Crop;
import dev.longalign.preference.Features;
import dev.longalign.preference.PictureBatch;
import dev.longalign.preference.PictureScorer;
import dev.longalign.random.TorchGenerator;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.Arrays;
import java.util.List;

/**
 * The loss of stages 3 and 4: how little a preference model likes the picture that latents decode
 * to, by the reweighted text (LongAlign, section 3.3).
 *
 * @param vae loaded on the autograd backend
 * @param scorer by segments for Denscore
 * @param common V; null takes that of each batch, as the published code does
 * @param omega how much of the text-irrelevant part stays
 */
public record PictureReward(
    AutoencoderKL vae, PictureScorer scorer, CommonDirection common, double omega) {
  private static final double FACTOR = 0.5;
  private static final double SHIFT = 0.09;

  /** The reweighted texts T' of captions: [B, width]. */
  public Tensor texts(Backend backend, List<String> captions) {
    Features features = PictureScorer.texts(scorer.captions(captions));
    int width = features.width();
    try (TensorScope scope = TensorScope.open()) {
      Tensor texts = Tensor.of(backend, Shape.of(features.count(), width), features.values());
      Tensor direction =
          common == null ? null : Tensor.of(backend, Shape.of(width), common.vector());
      return scope.keep(texts.reweight(direction, (float) omega).texts());
    }
  }

  /** Where a picture of latents [B, h, w, C] is cropped: top, left. */
  int[] crop(TorchGenerator random, Shape latents) {
    int scale = vae.config().downscale();
    int height = latents.intDim(1) * scale;
    int width = latents.intDim(2) * scale;
    int side = Crop.side(height, width, scorer.model().preprocessing().size());
    return new int[] {
      Draws.timesteps(random, 0, height - side + 1, 1)[0],
      Draws.timesteps(random, 0, width - side + 1, 1)[0]
    };
  }

  /** The picture of scaled latents, in [0, 1]: [B, H, W, 3]. */
  public Tensor picture(Tensor latents) {
    Tensor decoded = vae.decodeScaled(latents); // [B, H, W, 3] in [-1, 1]
    float[] ones = new float[Math.toIntExact(decoded.shape().size())];
    Arrays.fill(ones, 1);
    Tensor one = Tensor.of(decoded.backend(), decoded.shape(), ones).cast(decoded.dtype());
    return Tensor.linearCombination(new float[] {0.5f, 0.5f}, decoded, one).clamp(0, 1);
  }

  /**
   * {@code 0.5 (1 - mean score) - 0.09 (1 - omega)}, as a function of the {@link #picture}.
   *
   * @param latents scaled [B, h, w, C]
   * @param texts T' [B, width]
   * @param topLeft of the crop
   */
  public Loss loss(Tensor latents, Tensor texts, int[] topLeft) {
    Tensor picture = picture(latents);
    PictureBatch pictures = PictureBatch.of(picture);
    int side =
        Crop.side(pictures.height(), pictures.width(), scorer.model().preprocessing().size());
    if (topLeft.length != 2) {
      throw new LongAlignException(
          "crop: expected top and left, found " + Arrays.toString(topLeft));
    }
    PictureScorer.Gradient scored =
        scorer.gradient(
            pictures,
            new Crop(topLeft[0], topLeft[1], side),
            new Features(texts.toFloats(), texts.dim(0), texts.dim(1)));
    double mean = Arrays.stream(scored.scores()).average().orElseThrow();
    double loss = (1 - mean) * FACTOR - SHIFT * (1 - omega);
    Tensor gradient =
        scored
            .gradient()
            .upload(picture.backend())
            .scale((float) (-FACTOR / pictures.count()))
            .cast(picture.dtype());
    return new Loss(loss, picture, gradient);
  }
}
