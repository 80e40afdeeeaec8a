package dev.longalign.cli.verify;

import dev.longalign.pipeline.Pictures;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import java.awt.image.BufferedImage;
import java.util.List;

/** Pictures as bytes, which may be one apart: a value near the middle rounds either way. */
final class PictureBytes {
  private static final int MOST = 1;

  private PictureBytes() {}

  /**
   * @param pictures [B, H, W, 3] in [-1, 1]; the reference's bytes have the same layout
   */
  static void check(Vectors vectors, String name, Tensor pictures, Comparison comparison) {
    check(vectors, name, Pictures.fromTensor(pictures), comparison);
  }

  static void check(
      Vectors vectors, String name, List<BufferedImage> images, Comparison comparison) {
    BufferedImage first = images.get(0);
    Shape shape = Shape.of(images.size(), first.getHeight(), first.getWidth(), 3);
    float[] bytes = new float[Math.toIntExact(shape.size())];
    int at = 0;
    for (BufferedImage image : images) {
      int width = image.getWidth();
      for (int rgb : image.getRGB(0, 0, width, image.getHeight(), null, 0, width)) {
        bytes[at++] = rgb >> 16 & 255;
        bytes[at++] = rgb >> 8 & 255;
        bytes[at++] = rgb & 255;
      }
    }
    comparison.closeBytes(name, vectors.shape(name), vectors.floats(name), shape, bytes, MOST);
  }
}
