package dev.longalign.pipeline;

import dev.longalign.model.AutoencoderKL;
import dev.longalign.model.DiagonalGaussian;
import dev.longalign.model.TiledAutoencoder;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.OutOfMemoryException;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.awt.image.BufferedImage;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Latents to pictures and back, whole or in tiles; serves one thread. */
public final class PictureDecoder {
  private static final Logger LOG = LoggerFactory.getLogger(PictureDecoder.class);

  private final AutoencoderKL vae;
  private final VaeTiling tiling;
  private final Consumer<String> onTiles;
  private boolean tiled;

  /** Tiles where memory does not suffice for the whole. */
  public PictureDecoder(AutoencoderKL vae) {
    this(vae, VaeTiling.AUTO, why -> {});
  }

  /**
   * @param onTiles is told once, the first time that tiles are used, which size is tiled and why
   */
  public PictureDecoder(AutoencoderKL vae, VaeTiling tiling, Consumer<String> onTiles) {
    this.vae = vae;
    this.tiling = tiling;
    this.onTiles = onTiles;
  }

  /** Whether a picture has gone through in tiles so far. */
  public boolean tiled() {
    return tiled;
  }

  /** The pictures of scaled latents [B, h, w, C], one at a time so that memory stays small. */
  public List<BufferedImage> decode(Tensor latents) {
    List<BufferedImage> pictures = new ArrayList<>();
    for (int b = 0; b < latents.dim(0); b++) {
      try (TensorScope scope = TensorScope.open()) {
        Tensor one = latents.rows(b, b + 1).cast(vae.dtype());
        Tensor decoded =
            wholeOrTiles(
                one,
                one.dim(1),
                one.dim(2),
                vae::decodeScaled,
                new TiledAutoencoder(vae)::decodeScaled);
        BufferedImage picture = Pictures.fromTensor(decoded.cast(DType.F32)).get(0);
        warnOfOneColour(picture);
        pictures.add(picture);
      }
    }
    return pictures;
  }

  private static void warnOfOneColour(BufferedImage picture) {
    int width = picture.getWidth();
    int[] pixels = picture.getRGB(0, 0, width, picture.getHeight(), null, 0, width);
    if (Arrays.stream(pixels).allMatch(pixel -> pixel == pixels[0])) {
      LOG.warn(
          "a picture is of one colour everywhere ({}): check the weights of the autoencoder and of"
              + " the UNet, and the guidance scale",
          String.format(Locale.ROOT, "#%06x", pixels[0] & 0xffffff));
    }
  }

  /**
   * Scaled latents [B, h, w, C] drawn from the distribution of one picture's.
   *
   * @param picture [1, 8h, 8w, 3]
   * @param noise N(0, 1), [B, h, w, C]
   */
  public Tensor encode(Tensor picture, Tensor noise) {
    try (TensorScope scope = TensorScope.open()) {
      Tensor moments =
          wholeOrTiles(
              picture.cast(vae.dtype()),
              noise.dim(1),
              noise.dim(2),
              vae::moments,
              new TiledAutoencoder(vae)::moments);
      return scope.keep(vae.scale(DiagonalGaussian.of(moments).sample(noise)));
    }
  }

  private Tensor wholeOrTiles(
      Tensor x, int height, int width, UnaryOperator<Tensor> whole, UnaryOperator<Tensor> tiles) {
    if (tiling == VaeTiling.NEVER || Math.max(height, width) <= TiledAutoencoder.latentTile(vae)) {
      return whole.apply(x);
    }
    String why = "as asked for";
    if (tiling == VaeTiling.AUTO) {
      Backend backend = x.backend();
      long least = vae.leastBytes(height, width);
      long free = backend.freeMemory();
      why = String.format(Locale.ROOT, "%,d MB are free, more are needed", free >> 20);
      if (!tiled && least <= free) {
        try {
          return backend.withinFreeMemory(() -> whole.apply(x));
        } catch (OutOfMemoryException e) {
          LOG.debug("the whole picture does not fit", e);
        }
      }
    }
    if (!tiled) {
      tiled = true;
      int scale = vae.config().downscale();
      String size = width * scale + " x " + height * scale;
      String message =
          "a picture of " + size + " goes through the autoencoder in tiles (" + why + ")";
      LOG.info("{}", message);
      onTiles.accept(message);
    }
    return tiles.apply(x);
  }
}
