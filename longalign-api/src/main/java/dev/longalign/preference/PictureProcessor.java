package dev.longalign.preference;

import dev.longalign.LongAlignException;
import dev.longalign.io.PictureResize;
import dev.longalign.io.ResampleFilter;
import java.util.List;

/**
 * From pictures to what a vision tower reads, as the model's own processor does it when it scores:
 * resize, cut or fill up, scale, normalise. Not differentiable; training goes through {@link
 * ImagePreprocessing}.
 *
 * @param size rows and columns that the model reads
 * @param fit what becomes of a picture's sides
 * @param height rows to resize to; for SHORTEST and LONGEST the side that counts
 * @param width columns to resize to
 * @param filter of the resize
 * @param bytes whether the resize rounds to bytes, as Pillow does; else it computes in floats, as
 *     torch does
 * @param crop whether the middle is cut out, or filled up, to {@code size}
 * @param torchvision how halves of pixels are rounded when the middle is taken: as torchvision has
 *     it, or as transformers
 * @param fill what the picture is filled up with, 0 to 255
 * @param factor multiplies the bytes 0 to 255
 * @param mean of red, green, blue
 * @param std of red, green, blue; positive
 */
public record PictureProcessor(
    int size,
    Fit fit,
    int height,
    int width,
    ResampleFilter filter,
    boolean bytes,
    boolean crop,
    boolean torchvision,
    int fill,
    double factor,
    List<Float> mean,
    List<Float> std) {
  private static final int CHANNELS = 3;

  /** What becomes of a picture's sides when it is resized. */
  public enum Fit {
    /** Both stay. */
    NONE,
    /** Both as given, whatever the proportions. */
    EXACT,
    /** The shorter as given; the longer in proportion, rounded down. */
    SHORTEST,
    /** The longer as given; the shorter in proportion, rounded. */
    LONGEST
  }

  public PictureProcessor {
    mean = List.copyOf(mean);
    std = List.copyOf(std);
  }

  /** The model's statistics with the crop that training takes. */
  public ImagePreprocessing training() {
    float unit = (float) (255 * factor); // training's pictures lie in [0, 1]
    return new ImagePreprocessing(
        size, mean.stream().map(m -> m / unit).toList(), std.stream().map(s -> s / unit).toList());
  }

  /**
   * @param pictures their values stand for bytes, as files have them
   * @throws LongAlignException if they do not get the size that the model reads
   */
  public PixelValues prepare(PictureBatch pictures) {
    int one = size * size;
    float[] out = new float[pictures.count() * CHANNELS * one];
    for (int b = 0; b < pictures.count(); b++) {
      float[] square = square(pictures, b);
      for (int i = 0; i < square.length; i++) {
        int c = i % CHANNELS;
        float scaled = (float) (square[i] * factor);
        out[(b * CHANNELS + c) * one + i / CHANNELS] = (scaled - mean.get(c)) / std.get(c);
      }
    }
    return new PixelValues(out, pictures.count(), size);
  }

  /** [size, size, 3], 0 to 255. */
  private float[] square(PictureBatch pictures, int b) {
    int h = pictures.height();
    int w = pictures.width();
    int shorter = Math.min(h, w);
    int longer = Math.max(h, w);
    int toHeight =
        switch (fit) {
          case NONE -> h;
          case EXACT -> height;
          case SHORTEST -> h == shorter ? height : (int) ((long) height * longer / shorter);
          case LONGEST -> (int) Math.rint(h / ((double) longer / height));
        };
    int toWidth =
        switch (fit) {
          case NONE -> w;
          case EXACT -> width;
          case SHORTEST -> w == shorter ? height : (int) ((long) height * longer / shorter);
          case LONGEST -> (int) Math.rint(w / ((double) longer / height));
        };
    if (toHeight < 1 || toWidth < 1 || !crop && (toHeight != size || toWidth != size)) {
      throw new LongAlignException(
          "a picture of "
              + w
              + " x "
              + h
              + " pixels becomes one of "
              + toWidth
              + " x "
              + toHeight
              + " by this model's own preprocessing, expected "
              + size
              + " x "
              + size
              + ", which the model reads; give a picture with other proportions");
    }
    if ((long) toHeight * toWidth > Integer.MAX_VALUE / 64) {
      throw new LongAlignException(
          "a picture of " + w + " x " + h + " pixels is too long and narrow to be resized");
    }
    float[] resized = resize(pictures, b, toHeight, toWidth);
    return toHeight == size && toWidth == size ? resized : middle(resized, toHeight, toWidth);
  }

  private float[] resize(PictureBatch pictures, int b, int toHeight, int toWidth) {
    int h = pictures.height();
    int w = pictures.width();
    int n = h * w * CHANNELS;
    float[] values = new float[n];
    byte[] rounded = new byte[n];
    for (int i = 0; i < n; i++) {
      values[i] = Math.round(Math.max(0, Math.min(1, pictures.values()[b * n + i])) * 255);
      rounded[i] = (byte) (int) values[i];
    }
    if (toHeight == h && toWidth == w) {
      return values;
    }
    if (bytes) {
      byte[] small = PictureResize.resize(rounded, w, h, toWidth, toHeight, filter);
      float[] out = new float[small.length];
      for (int i = 0; i < out.length; i++) {
        out[i] = small[i] & 255;
      }
      return out;
    }
    float[] narrow = new float[h * toWidth * CHANNELS];
    Resampling.of(w, toWidth, filter).apply(values, narrow, h, CHANNELS);
    float[] small = new float[toHeight * toWidth * CHANNELS];
    Resampling.of(h, toHeight, filter).apply(narrow, small, 1, toWidth * CHANNELS);
    return small;
  }

  private float[] middle(float[] picture, int h, int w) {
    float[] out = new float[size * size * CHANNELS];
    int top = offset(h);
    int left = offset(w);
    for (int i = 0; i < out.length; i++) {
      int y = i / CHANNELS / size + top;
      int x = i / CHANNELS % size + left;
      boolean inside = y >= 0 && y < h && x >= 0 && x < w;
      out[i] = inside ? picture[(y * w + x) * CHANNELS + i % CHANNELS] : fill;
    }
    return out;
  }

  /** The first row or column that is taken; less than 0 where the picture is filled up. */
  private int offset(int side) {
    if (!torchvision) {
      return Math.floorDiv(side - size, 2);
    }
    return side < size ? -((size - side) / 2) : (int) Math.rint((side - size) / 2.0);
  }
}
