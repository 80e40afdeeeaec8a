package dev.longalign.data;

import dev.longalign.LongAlignException;
import dev.longalign.io.PictureFile;
import dev.longalign.io.PictureResize;
import dev.longalign.io.ResampleFilter;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import java.awt.image.BufferedImage;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/**
 * A picture in memory: [height, width, 3] bytes, row by row, red first. Immutable; a quarter of the
 * size of its f32 tensor.
 */
public final class RgbPicture {
  private final int width;
  private final int height;
  private final byte[] rgb;

  private RgbPicture(int width, int height, byte[] rgb) {
    if (width < 1 || height < 1 || rgb.length != Math.multiplyExact(3, width * height)) {
      throw new IllegalArgumentException(
          rgb.length + " bytes do not make a picture of " + width + " x " + height);
    }
    this.width = width;
    this.height = height;
    this.rgb = rgb;
  }

  /** A picture of a copy of the bytes {@code [(y * width + x) * 3 + channel]}. */
  public static RgbPicture of(int width, int height, byte[] rgb) {
    return new RgbPicture(width, height, rgb.clone());
  }

  /**
   * The picture's stored values, by the rules of {@link PictureFile}.
   *
   * @throws LongAlignException if there is no memory for a second copy of it
   */
  public static RgbPicture of(BufferedImage image) {
    BufferedImage picture = PictureFile.toRgb(image);
    int width = picture.getWidth();
    byte[] rgb;
    try {
      rgb = new byte[Math.multiplyExact(3, width * picture.getHeight())];
    } catch (OutOfMemoryError tooLarge) { // one large array that was refused; nothing is broken
      throw new LongAlignException(
          "a picture of "
              + width
              + " x "
              + picture.getHeight()
              + " pixels is too large for the memory of this process; raise -Xmx",
          tooLarge);
    }
    int[] row = new int[width];
    int at = 0;
    for (int y = 0; y < picture.getHeight(); y++) {
      picture.getRGB(0, y, width, 1, row, 0, width);
      for (int pixel : row) {
        rgb[at++] = (byte) (pixel >> 16);
        rgb[at++] = (byte) (pixel >> 8);
        rgb[at++] = (byte) pixel;
      }
    }
    return owning(width, picture.getHeight(), rgb);
  }

  /** A picture file, read as {@link PictureFile#readRgb(Path)} does. */
  static RgbPicture read(Path file) {
    return of(PictureFile.readRgb(file));
  }

  /** A picture file in memory; {@code source} names it in messages. */
  static RgbPicture read(String source, byte[] file) {
    return of(PictureFile.readRgb(source, file));
  }

  /** A picture that owns the bytes: the caller lets go of them. */
  static RgbPicture owning(int width, int height, byte[] rgb) {
    return new RgbPicture(width, height, rgb);
  }

  public int width() {
    return width;
  }

  public int height() {
    return height;
  }

  /** One value, 0 to 255. */
  public int value(int x, int y, int channel) {
    return rgb[(y * width + x) * 3 + channel] & 255;
  }

  /** A copy of the bytes. */
  public byte[] bytes() {
    return rgb.clone();
  }

  /** The bytes themselves, for reading. */
  byte[] data() {
    return rgb;
  }

  /** A part of this picture in another size, as Pillow resizes: to the bit. */
  public RgbPicture resize(PictureResize.Target target, ResampleFilter filter) {
    return owning(
        target.width(), target.height(), PictureResize.resize(rgb, width, height, target, filter));
  }

  /** As AWT's pictures: of TYPE_INT_RGB. */
  public BufferedImage toBufferedImage() {
    BufferedImage image = new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB);
    int[] pixels = new int[width * height];
    for (int i = 0; i < pixels.length; i++) {
      pixels[i] = (rgb[3 * i] & 255) << 16 | (rgb[3 * i + 1] & 255) << 8 | rgb[3 * i + 2] & 255;
    }
    image.setRGB(0, 0, width, height, pixels, 0, width);
    return image;
  }

  /** {@code value / 255 * 2 - 1}, in [-1, 1]: [height, width, 3]. */
  public float[] toFloats() {
    float[] values = new float[rgb.length];
    putFloats(values, 0);
    return values;
  }

  private void putFloats(float[] values, int at) {
    for (int i = 0; i < rgb.length; i++) {
      values[at + i] = (rgb[i] & 255) / 255f * 2 - 1;
    }
  }

  /** Pictures of one size as a batch [B, height, width, 3] of f32 in [-1, 1]. */
  public static Tensor toTensor(Backend backend, List<RgbPicture> pictures) {
    RgbPicture first = pictures.get(0);
    int size = first.rgb.length;
    float[] values = new float[Math.multiplyExact(pictures.size(), size)];
    for (int i = 0; i < pictures.size(); i++) {
      RgbPicture picture = pictures.get(i);
      if (picture.width != first.width || picture.height != first.height) {
        throw new IllegalArgumentException(
            "a batch needs pictures of one size, found "
                + first
                + " and "
                + picture
                + "; use PicturePreprocessing");
      }
      picture.putFloats(values, i * size);
    }
    return Tensor.of(backend, Shape.of(pictures.size(), first.height, first.width, 3), values);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof RgbPicture that
        && width == that.width
        && height == that.height
        && Arrays.equals(rgb, that.rgb);
  }

  @Override
  public int hashCode() {
    return 31 * width + Arrays.hashCode(rgb);
  }

  @Override
  public String toString() {
    return width + " x " + height;
  }
}
