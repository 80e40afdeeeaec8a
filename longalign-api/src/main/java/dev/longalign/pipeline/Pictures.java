package dev.longalign.pipeline;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.image.BufferedImage;
import java.util.ArrayList;
import java.util.List;

/** Pictures as tensors [B, H, W, 3] in [-1, 1], and back. */
public final class Pictures {
  private Pictures() {}

  /**
   * One RGB picture per row: {@code round(clamp(x / 2 + 0.5, 0, 1) * 255)}, halves to even as numpy
   * rounds.
   *
   * @throws LongAlignException if a value is not a number: then the weights or the precision do not
   *     suit the picture
   */
  public static List<BufferedImage> fromTensor(Tensor pictures) {
    int height = pictures.dim(1);
    int width = pictures.dim(2);
    float[] values = pictures.toFloats();
    List<BufferedImage> images = new ArrayList<>();
    int at = 0;
    for (int b = 0; b < pictures.dim(0); b++) {
      BufferedImage image = new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB);
      int[] row = new int[width];
      for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++, at += 3) {
          row[x] = toByte(values[at]) << 16 | toByte(values[at + 1]) << 8 | toByte(values[at + 2]);
        }
        image.setRGB(0, y, width, 1, row, 0, width);
      }
      images.add(image);
    }
    return images;
  }

  private static int toByte(float value) {
    if (Float.isNaN(value)) {
      throw new LongAlignException(
          "the picture has values that are not numbers (NaN); expected numbers around [-1, 1]."
              + " Check the autoencoder's weights; in bf16 or f16, sample in f32");
    }
    float unit = Math.min(1f, Math.max(0f, value / 2 + 0.5f));
    return (int) Math.rint(unit * 255f);
  }

  /**
   * [1, height, width, 3]; the picture is cropped at its centre to the shape and scaled smoothly.
   */
  public static Tensor toTensor(Backend backend, BufferedImage picture, int width, int height) {
    BufferedImage fitted = fit(picture, width, height);
    int[] pixels = fitted.getRGB(0, 0, width, height, null, 0, width);
    float[] values = new float[3 * pixels.length];
    for (int i = 0; i < pixels.length; i++) {
      values[3 * i] = (pixels[i] >> 16 & 255) / 127.5f - 1;
      values[3 * i + 1] = (pixels[i] >> 8 & 255) / 127.5f - 1;
      values[3 * i + 2] = (pixels[i] & 255) / 127.5f - 1;
    }
    return Tensor.of(backend, Shape.of(1, height, width, 3), values);
  }

  private static BufferedImage fit(BufferedImage picture, int width, int height) {
    if (picture.getWidth() == width && picture.getHeight() == height) {
      return picture;
    }
    double scale =
        Math.max((double) width / picture.getWidth(), (double) height / picture.getHeight());
    int scaledWidth = Math.max(width, (int) Math.round(picture.getWidth() * scale));
    int scaledHeight = Math.max(height, (int) Math.round(picture.getHeight() * scale));
    BufferedImage fitted = new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB);
    Graphics2D graphics = fitted.createGraphics();
    graphics.setRenderingHint(
        RenderingHints.KEY_INTERPOLATION, RenderingHints.VALUE_INTERPOLATION_BICUBIC);
    graphics.drawImage(
        picture,
        (width - scaledWidth) / 2,
        (height - scaledHeight) / 2,
        scaledWidth,
        scaledHeight,
        null);
    graphics.dispose();
    return fitted;
  }
}
