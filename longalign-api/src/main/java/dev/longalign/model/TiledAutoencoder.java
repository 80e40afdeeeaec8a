package dev.longalign.model;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.function.UnaryOperator;

/**
 * An autoencoder for large pictures and many of them: one picture at a time, and a picture larger than a tile as
 * overlapping tiles whose seams are blended, so that memory stays that of one tile. Results of tiles are close to those
 * of the whole picture, not equal. Reference: {@code AutoencoderKL.tiled_decode}, {@code tiled_encode}.
 *
 * <p>Tiles are cut and blended on the host: they are the pictures and latents themselves, with few channels.
 */
public final class TiledAutoencoder {
  private final AutoencoderKL vae;
  private final int latentTile;
  private final double overlap;

  /** Tiles as large as the pictures that the autoencoder was trained on, a quarter of them shared. */
  public TiledAutoencoder(AutoencoderKL vae) {
    this(vae, Math.max(1, vae.config().sampleSize() / vae.config().downscale()), 0.25);
  }

  /**
   * @param latentTile side of a tile in latents
   * @param overlap part of a tile's side that it shares with its neighbour, 0 <= overlap < 1
   */
  public TiledAutoencoder(AutoencoderKL vae, int latentTile, double overlap) {
    if (latentTile < 1 || !(overlap >= 0 && overlap < 1) || (int) (latentTile * (1 - overlap)) < 1) {
      throw new LongAlignException(
          "VAE tiling: expected tiles of at least 1 latent and an overlap of 0 to 1, found " + latentTile + " and "
              + overlap);
    }
    this.vae = vae;
    this.latentTile = latentTile;
    this.overlap = overlap;
  }

  /** Like {@link AutoencoderKL#decode}. */
  public Tensor decode(Tensor latents) {
    int scale = vae.config().downscale();
    return eachPicture(latents, one -> tiles(one, vae::decode, latentTile, latentTile * scale));
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
    return eachPicture(pictures, one -> tiles(one, vae::moments, latentTile * scale, latentTile));
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

  /**
   * @param inTile side of a tile of x
   * @param outTile side of what the model makes of it
   */
  private Tensor tiles(Tensor x, UnaryOperator<Tensor> model, int inTile, int outTile) { // [1, H, W, C]
    if (x.dim(1) <= inTile && x.dim(2) <= inTile) {
      return model.apply(x);
    }
    int step = (int) (inTile * (1 - overlap));
    int blend = (int) (outTile * overlap);
    int limit = outTile - blend;
    Plane input = Plane.of(x);
    int rows = (x.dim(1) + step - 1) / step;
    int columns = (x.dim(2) + step - 1) / step;
    Plane out = null;
    Plane[] above = new Plane[columns];
    for (int i = 0; i < rows; i++) {
      Plane left = null;
      for (int j = 0; j < columns; j++) {
        Plane tile = run(model, x.backend(), input.cut(i * step, j * step, inTile, inTile));
        if (i > 0) {
          tile.blendBelow(above[j], blend);
        }
        if (j > 0) {
          tile.blendRightOf(left, blend);
        }
        if (out == null) {
          out = new Plane((int) ((long) x.dim(1) * outTile / inTile), (int) ((long) x.dim(2) * outTile / inTile), tile.channels());
        }
        out.paste(tile, i * limit, j * limit, limit);
        above[j] = tile;
        left = tile;
      }
    }
    return out.upload(x.backend()).cast(x.dtype());
  }

  private static Plane run(UnaryOperator<Tensor> model, Backend backend, Plane tile) {
    try (TensorScope scope = TensorScope.open()) {
      return Plane.of(model.apply(tile.upload(backend)));
    }
  }

  /** A picture on the host, [height, width, channels]. */
  private record Plane(int height, int width, int channels, float[] values) {
    Plane(int height, int width, int channels) {
      this(height, width, channels, new float[Math.multiplyExact(Math.multiplyExact(height, width), channels)]);
    }

    static Plane of(Tensor x) { // [1, H, W, C]
      return new Plane(x.dim(1), x.dim(2), x.dim(3), x.toFloats());
    }

    Tensor upload(Backend backend) {
      return Tensor.of(backend, Shape.of(1, height, width, channels), values);
    }

    private int at(int y, int x) {
      return (y * width + x) * channels;
    }

    Plane cut(int top, int left, int maxHeight, int maxWidth) {
      Plane part = new Plane(Math.min(maxHeight, height - top), Math.min(maxWidth, width - left), channels);
      for (int y = 0; y < part.height; y++) {
        System.arraycopy(values, at(top + y, left), part.values, part.at(y, 0), part.width * channels);
      }
      return part;
    }

    void paste(Plane tile, int top, int left, int limit) {
      int pasteWidth = Math.min(Math.min(limit, tile.width), width - left);
      for (int y = 0; y < Math.min(Math.min(limit, tile.height), height - top); y++) {
        System.arraycopy(tile.values, tile.at(y, 0), values, at(top + y, left), pasteWidth * channels);
      }
    }

    /** The first rows go over from the last rows of the tile above. */
    void blendBelow(Plane above, int extent) {
      int n = Math.min(extent, Math.min(above.height, height));
      for (int y = 0; y < n; y++) {
        float weight = (float) y / n;
        mix(at(y, 0), above, above.at(above.height - n + y, 0), Math.min(width, above.width) * channels, weight);
      }
    }

    /** The first columns go over from the last columns of the tile to the left. */
    void blendRightOf(Plane left, int extent) {
      int n = Math.min(extent, Math.min(left.width, width));
      for (int y = 0; y < Math.min(height, left.height); y++) {
        for (int x = 0; x < n; x++) {
          mix(at(y, x), left, left.at(y, left.width - n + x), channels, (float) x / n);
        }
      }
    }

    private void mix(int at, Plane other, int otherAt, int count, float weight) {
      for (int i = 0; i < count; i++) {
        values[at + i] = other.values[otherAt + i] * (1 - weight) + values[at + i] * weight;
      }
    }
  }
}
