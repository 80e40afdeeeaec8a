package dev.longalign.data;

import java.util.function.UnaryOperator;

/**
 * What the reference does to a training picture: the short side is resized to the resolution (the
 * long one to {@code floor(resolution * long / short)}), and the centre is cut out. Resizing is
 * Pillow's bilinear filter on bytes, to the bit: see {@link BilinearResize}. [-1, 1] comes last, in
 * {@link RgbPicture#toFloats}.
 *
 * <pre>{@code
 * Dataset<TrainingExample> square = dataset.map(new PicturePreprocessing(512));
 * }</pre>
 *
 * @param resolution side of the square, in pixels; at least 1
 */
public record PicturePreprocessing(int resolution) implements UnaryOperator<TrainingExample> {
  public PicturePreprocessing {
    if (resolution < 1) {
      throw new IllegalArgumentException("resolution must be at least 1, found " + resolution);
    }
  }

  @Override
  public TrainingExample apply(TrainingExample example) {
    return example.with(apply(example.picture()));
  }

  /** A picture of resolution x resolution. */
  public RgbPicture apply(RgbPicture picture) {
    return crop(resize(picture));
  }

  /** The whole picture, its short side as long as the resolution. */
  RgbPicture resize(RgbPicture picture) {
    int width = picture.width();
    int height = picture.height();
    int shorter = Math.min(width, height);
    if (shorter == resolution) {
      return picture;
    }
    int longer =
        (int) Math.min(Integer.MAX_VALUE, (long) resolution * Math.max(width, height) / shorter);
    return width <= height
        ? BilinearResize.resize(picture, resolution, longer)
        : BilinearResize.resize(picture, longer, resolution);
  }

  private RgbPicture crop(RgbPicture picture) {
    int left = offset(picture.width());
    int top = offset(picture.height());
    if (picture.width() == resolution && picture.height() == resolution) {
      return picture;
    }
    byte[] from = picture.data();
    byte[] to = new byte[3 * resolution * resolution];
    for (int y = 0; y < resolution; y++) {
      int at = ((top + y) * picture.width() + left) * 3;
      System.arraycopy(from, at, to, y * resolution * 3, resolution * 3);
    }
    return RgbPicture.owning(resolution, resolution, to);
  }

  /** Half of what is left over, halves to even as Python rounds. */
  private int offset(int side) {
    return (int) Math.rint((side - resolution) / 2.0);
  }
}
