package dev.longalign.pipeline;

import dev.longalign.model.AutoencoderKL;
import dev.longalign.model.TiledAutoencoder;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.awt.image.BufferedImage;
import java.util.ArrayList;
import java.util.List;

/** Latents to pictures and back; pictures of more than two tiles' side go through in tiles. */
public final class PictureDecoder {
  private static final int WHOLE_TILES = 2;

  private final AutoencoderKL vae;
  private final int wholeLatents;

  public PictureDecoder(AutoencoderKL vae) {
    this.vae = vae;
    this.wholeLatents = WHOLE_TILES * vae.config().sampleSize() / vae.config().downscale();
  }

  /** The pictures of scaled latents [B, h, w, C], one at a time so that memory stays small. */
  public List<BufferedImage> decode(Tensor latents) {
    List<BufferedImage> pictures = new ArrayList<>();
    for (int b = 0; b < latents.dim(0); b++) {
      try (TensorScope scope = TensorScope.open()) {
        Tensor one = latents.rows(b, b + 1);
        Tensor decoded =
            tiled(one.dim(1), one.dim(2))
                ? new TiledAutoencoder(vae).decodeScaled(one.cast(vae.dtype()))
                : vae.decodeScaled(one.cast(vae.dtype()));
        pictures.addAll(Pictures.fromTensor(decoded.cast(DType.F32)));
      }
    }
    return pictures;
  }

  /** Scaled latents [1, h, w, C] of a picture [1, 8h, 8w, 3]: the mean of its distribution. */
  public Tensor encode(Tensor picture) {
    try (TensorScope scope = TensorScope.open()) {
      int downscale = vae.config().downscale();
      Tensor input = picture.cast(vae.dtype());
      Tensor mean =
          (tiled(picture.dim(1) / downscale, picture.dim(2) / downscale)
                  ? new TiledAutoencoder(vae).encode(input)
                  : vae.encode(input))
              .mean();
      return scope.keep(vae.scale(mean).cast(DType.F32));
    }
  }

  private boolean tiled(int height, int width) {
    return Math.max(height, width) > wholeLatents;
  }
}
