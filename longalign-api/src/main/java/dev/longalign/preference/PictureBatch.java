package dev.longalign.preference;

import dev.longalign.LongAlignException;
import dev.longalign.io.PictureFile;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import java.awt.image.BufferedImage;

/**
 * Pictures of one size, or gradients with respect to them: [count, height, width, 3], row-major
 * f32; as pictures in [0, 1].
 *
 * @param values not copied
 */
public record PictureBatch(float[] values, int count, int height, int width) {
  public PictureBatch {
    if (values.length != 3L * count * height * width) {
      throw new IllegalArgumentException(
          values.length + " values do not fill [" + count + ", " + height + ", " + width + ", 3]");
    }
  }

  /** One picture: bytes / 255. */
  public static PictureBatch of(BufferedImage picture) {
    BufferedImage rgb = PictureFile.toRgb(picture);
    int[] pixels = rgb.getRGB(0, 0, rgb.getWidth(), rgb.getHeight(), null, 0, rgb.getWidth());
    float[] values = new float[3 * pixels.length];
    for (int i = 0; i < pixels.length; i++) {
      values[3 * i] = (pixels[i] >> 16 & 255) / 255f;
      values[3 * i + 1] = (pixels[i] >> 8 & 255) / 255f;
      values[3 * i + 2] = (pixels[i] & 255) / 255f;
    }
    return new PictureBatch(values, 1, rgb.getHeight(), rgb.getWidth());
  }

  /** From [B, H, W, 3] in [0, 1] on a device. */
  public static PictureBatch of(Tensor pictures) {
    Shape shape = pictures.shape();
    if (shape.rank() != 4 || shape.dim(3) != 3) {
      throw new LongAlignException("pictures: expected [B, H, W, 3], found " + shape);
    }
    return new PictureBatch(pictures.toFloats(), pictures.dim(0), pictures.dim(1), pictures.dim(2));
  }

  /** To a device: [count, height, width, 3] f32. */
  public Tensor upload(Backend backend) {
    return Tensor.of(backend, Shape.of(count, height, width, 3), values);
  }
}
