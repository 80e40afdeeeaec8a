package dev.longalign.pipeline;

import dev.longalign.LongAlignException;
import dev.longalign.data.RgbPicture;
import dev.longalign.io.PictureResize;
import dev.longalign.io.ResampleFilter;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Tensor;
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
   * [1, height, width, 3]. A picture of another size is resized with Lanczos' filter and cropped at
   * its centre, as diffusers' {@code VaeImageProcessor.preprocess(resize_mode="crop")} does it; one
   * that only lacks up to 7 pixels to multiples of 8 is not cropped, as its img2img pipeline does
   * it.
   */
  public static Tensor toTensor(Backend backend, BufferedImage picture, int width, int height) {
    RgbPicture fitted = fit(RgbPicture.of(picture), width, height);
    return RgbPicture.toTensor(backend, List.of(fitted));
  }

  private static RgbPicture fit(RgbPicture picture, int width, int height) {
    if (width == picture.width() / 8 * 8 && height == picture.height() / 8 * 8) {
      return picture.resize(
          new PictureResize.Target(width, height, 0, 0, width, height), ResampleFilter.LANCZOS);
    }
    boolean wider = (double) width / height > (double) picture.width() / picture.height();
    long fullWidth = wider ? width : (long) picture.width() * height / picture.height();
    long fullHeight = wider ? (long) picture.height() * width / picture.width() : height;
    long left = fullWidth / 2 - width / 2;
    long top = fullHeight / 2 - height / 2;
    return picture.resize(
        new PictureResize.Target(fullWidth, fullHeight, left, top, width, height),
        ResampleFilter.LANCZOS);
  }
}
