package dev.longalign.data;

import dev.longalign.LongAlignException;
import dev.longalign.io.PictureResize;
import dev.longalign.io.ResampleFilter;
import java.util.function.UnaryOperator;

/**
 * What the reference does to a training picture: the short side is resized to the resolution (the
 * long one to {@code floor(resolution * long / short)}), and the centre is cut out. Resizing is
 * Pillow's bilinear filter on bytes, to the bit: see {@link PictureResize}. [-1, 1] comes last, in
 * {@link RgbPicture#toFloats}.
 *
 * <pre>{@code
 * Dataset<TrainingExample> square = dataset.map(new PicturePreprocessing(512));
 * }</pre>
 *
 * @param resolution side of the square, in pixels; at least 1
 */
public record PicturePreprocessing(int resolution) implements UnaryOperator<TrainingExample> {
  /** An eighth of what a byte array can hold. */
  private static final long MAX_PIXELS = 89_478_485;

  /**
   * Pictures that would be enlarged by more are icons and tracking pixels: nothing to learn from.
   */
  private static final int SMALLEST_SHARE = 16;

  public PicturePreprocessing {
    if (resolution < 1) {
      throw new IllegalArgumentException("resolution must be at least 1, found " + resolution);
    }
  }

  @Override
  public TrainingExample apply(TrainingExample example) {
    try {
      return example.with(apply(example.picture()));
    } catch (LongAlignException refusal) {
      throw new LongAlignException(example.id() + ": " + refusal.getMessage(), refusal);
    }
  }

  /**
   * A picture of resolution x resolution.
   *
   * @throws LongAlignException if the picture is so elongated that its resized form is too large
   */
  public RgbPicture apply(RgbPicture picture) {
    return crop(resize(picture));
  }

  /** The whole picture, its short side as long as the resolution. */
  public RgbPicture resize(RgbPicture picture) {
    int width = picture.width();
    int height = picture.height();
    int shorter = Math.min(width, height);
    if (shorter == resolution) {
      return picture;
    }
    long longer = (long) resolution * Math.max(width, height) / shorter;
    if (longer * resolution > MAX_PIXELS) {
      throw new LongAlignException(
          "a picture of "
              + picture
              + " pixels would have "
              + longer * resolution
              + " after the resize to "
              + resolution
              + "; at most "
              + MAX_PIXELS
              + " are allowed");
    }
    if (shorter * SMALLEST_SHARE < resolution) {
      throw new LongAlignException(
          "a picture of "
              + picture
              + " pixels, too small for "
              + resolution
              + "; expected a short side of at least "
              + (resolution + SMALLEST_SHARE - 1) / SMALLEST_SHARE);
    }
    int side = (int) longer;
    int toWidth = width <= height ? resolution : side;
    int toHeight = width <= height ? side : resolution;
    return picture.resize(
        new PictureResize.Target(toWidth, toHeight, 0, 0, toWidth, toHeight),
        ResampleFilter.BILINEAR);
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
