package dev.longalign.model;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.function.UnaryOperator;

/**
 * An autoencoder for large pictures and many of them: one picture at a time, and a picture larger
 * than a tile as overlapping tiles whose seams are blended, so that memory stays that of one tile.
 * Results of tiles are close to those of the whole picture, not equal. Reference: {@code
 * AutoencoderKL.tiled_decode}, {@code tiled_encode}.
 */
public final class TiledAutoencoder {
  private final AutoencoderKL vae;
  private final int latentTile;
  private final int shared;

  /**
   * Tiles as large as the pictures that the autoencoder was trained on, a quarter of them shared.
   */
  public TiledAutoencoder(AutoencoderKL vae) {
    this(vae, latentTile(vae), 0.25);
  }

  /** The side of these tiles in latents. */
  public static int latentTile(AutoencoderKL vae) {
    return Math.max(1, vae.config().sampleSize() / vae.config().downscale());
  }

  /**
   * @param latentTile side of a tile in latents
   * @param overlap part of a tile's side that it shares with its neighbour, 0 <= overlap < 1
   */
  public TiledAutoencoder(AutoencoderKL vae, int latentTile, double overlap) {
    if (latentTile < 1 || !(overlap >= 0 && overlap < 1)) {
      throw new LongAlignException(
          "VAE tiling: expected tiles of at least 1 latent and an overlap of 0 to 1, found "
              + latentTile
              + " and "
              + overlap);
    }
    this.vae = vae;
    this.latentTile = latentTile;
    this.shared = (int) (latentTile * overlap);
  }

  /** Like {@link AutoencoderKL#decode}. */
  public Tensor decode(Tensor latents) {
    int scale = vae.config().downscale();
    Tiles tiles = new Tiles(latentTile, latentTile * scale, shared, shared * scale);
    return eachPicture(latents, one -> tiles.run(one, vae::decode));
  }

  /** Like {@link AutoencoderKL#decodeScaled}. */
  public Tensor decodeScaled(Tensor scaled) {
    try (TensorScope scope = TensorScope.open()) {
      return scope.keep(decode(vae.unscale(scaled)));
    }
  }

  /** Like {@link AutoencoderKL#moments}. */
  public Tensor moments(Tensor pictures) {
    int scale = vae.config().downscale();
    Tiles tiles = new Tiles(latentTile * scale, latentTile, shared * scale, shared);
    return eachPicture(pictures, one -> tiles.run(one, vae::moments));
  }

  /** Like {@link AutoencoderKL#encode}. */
  public DiagonalGaussian encode(Tensor pictures) {
    try (TensorScope scope = TensorScope.open()) {
      return DiagonalGaussian.of(moments(pictures));
    }
  }

  private static Tensor eachPicture(Tensor pictures, UnaryOperator<Tensor> operation) {
    if (pictures.dim(0) == 1) {
      return operation.apply(pictures);
    }
    try (TensorScope scope = TensorScope.open()) {
      Tensor[] results = new Tensor[pictures.dim(0)];
      for (int b = 0; b < results.length; b++) {
        results[b] = operation.apply(pictures.rows(b, b + 1));
      }
      return scope.keep(Tensor.concat(0, results));
    }
  }
}
