package dev.longalign.engine;

import dev.longalign.tensor.Golden;
import dev.longalign.tensor.Shape;
import java.awt.image.BufferedImage;
import java.util.Arrays;

/** Pictures as numbers. */
final class Images {
  private Images() {}

  /** Red, green and blue of every pixel, row by row, 0 to 255. */
  static int[] rgb(BufferedImage image) {
    int[] pixels =
        image.getRGB(0, 0, image.getWidth(), image.getHeight(), null, 0, image.getWidth());
    int[] rgb = new int[pixels.length * 3];
    for (int i = 0; i < rgb.length; i++) {
      rgb[i] = pixels[i / 3] >> 16 - 8 * (i % 3) & 255;
    }
    return rgb;
  }

  /** One picture of a tensor [B, 3, H, W] in [-1, 1]. */
  static int[] bytes(Golden golden, String name, int index) {
    Shape nchw = golden.shape(name);
    float[] values = Golden.toNhwc(nchw, golden.floats(name));
    int size = values.length / nchw.intDim(0);
    int[] bytes = new int[size];
    for (int i = 0; i < size; i++) {
      float unit = values[index * size + i] / 2 + 0.5f;
      bytes[i] = Math.round(Math.min(1, Math.max(0, unit)) * 255);
    }
    return bytes;
  }

  /** The largest difference of two values at the same place. */
  static int largestDifference(int[] a, int[] b) {
    if (a.length != b.length) {
      throw new AssertionError("expected " + a.length + " values, found " + b.length);
    }
    int largest = 0;
    for (int i = 0; i < a.length; i++) {
      largest = Math.max(largest, Math.abs(a[i] - b[i]));
    }
    return largest;
  }

  static int largestDifference(BufferedImage a, BufferedImage b) {
    return largestDifference(rgb(a), rgb(b));
  }

  static boolean same(BufferedImage a, BufferedImage b) {
    return a.getWidth() == b.getWidth() && Arrays.equals(rgb(a), rgb(b));
  }

  /** Mean absolute difference per value. */
  static double meanDifference(BufferedImage a, BufferedImage b) {
    int[] x = rgb(a);
    int[] y = rgb(b);
    double sum = 0;
    for (int i = 0; i < x.length; i++) {
      sum += Math.abs(x[i] - y[i]);
    }
    return sum / x.length;
  }
}
