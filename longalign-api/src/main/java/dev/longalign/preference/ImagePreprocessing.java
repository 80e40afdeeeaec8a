package dev.longalign.preference;

import dev.longalign.LongAlignException;
import java.util.List;

/**
 * From pictures in [0, 1] to what a vision tower reads: crop, antialiased bilinear resize to the
 * model's size, then (x - mean) / std for every channel. Linear but for the shift, so that
 * gradients go back by the transpose.
 *
 * @param size rows and columns that the model reads
 * @param mean of red, green, blue
 * @param std of red, green, blue; positive
 */
public record ImagePreprocessing(int size, List<Float> mean, List<Float> std) {
  private static final int CHANNELS = 3;
  private static final List<Float> CLIP_MEAN = List.of(0.48145466f, 0.4578275f, 0.40821073f);
  private static final List<Float> CLIP_STD = List.of(0.26862954f, 0.26130258f, 0.27577711f);

  public ImagePreprocessing {
    mean = List.copyOf(mean);
    std = List.copyOf(std);
    if (size < 1 || mean.size() != CHANNELS || std.size() != CHANNELS) {
      throw new IllegalArgumentException(
          "expected a positive size and 3 channels, found " + size + ", " + mean + ", " + std);
    }
    for (float deviation : std) {
      if (!(deviation > 0)) {
        throw new IllegalArgumentException("std: expected positive numbers, found " + std);
      }
    }
  }

  /** With the statistics of CLIP's training pictures. */
  public static ImagePreprocessing clip(int size) {
    return new ImagePreprocessing(size, CLIP_MEAN, CLIP_STD);
  }

  /** With the crop in the middle. */
  public PixelValues prepare(PictureBatch pictures) {
    return prepare(pictures, Crop.centre(pictures.height(), pictures.width(), size));
  }

  /**
   * @throws LongAlignException if the crop is not inside the pictures
   */
  public PixelValues prepare(PictureBatch pictures, Crop crop) {
    check(pictures.height(), pictures.width(), crop);
    int n = crop.side();
    Resampling resampling = Resampling.of(n, size);
    float[] out = new float[pictures.count() * CHANNELS * size * size];
    for (int b = 0; b < pictures.count(); b++) {
      float[] cropped = crop(pictures, b, crop); // [n, n, 3]
      float[] narrow = new float[n * size * CHANNELS];
      resampling.apply(cropped, narrow, n, CHANNELS); // [n, size, 3]
      float[] small = new float[size * size * CHANNELS];
      resampling.apply(narrow, small, 1, size * CHANNELS); // [size, size, 3]
      for (int i = 0; i < small.length; i++) {
        int c = i % CHANNELS;
        out[(b * CHANNELS + c) * size * size + i / CHANNELS] =
            (small[i] - mean.get(c)) / std.get(c);
      }
    }
    return new PixelValues(out, pictures.count(), size);
  }

  /**
   * The gradient with respect to the pictures, zero outside of the crop.
   *
   * @param gradient with respect to what {@link #prepare(PictureBatch, Crop)} gave
   * @param height of the pictures
   * @param width of the pictures
   * @param crop the one that was taken
   */
  public PictureBatch gradient(PixelValues gradient, int height, int width, Crop crop) {
    check(height, width, crop);
    if (gradient.size() != size) {
      throw new LongAlignException(
          "gradient: expected pictures of " + size + " pixels, found " + gradient.size());
    }
    int n = crop.side();
    Resampling resampling = Resampling.of(n, size);
    float[] out = new float[Math.multiplyExact(gradient.count() * CHANNELS, height * width)];
    for (int b = 0; b < gradient.count(); b++) {
      float[] small = new float[size * size * CHANNELS];
      for (int i = 0; i < small.length; i++) {
        int c = i % CHANNELS;
        small[i] = gradient.values()[(b * CHANNELS + c) * size * size + i / CHANNELS] / std.get(c);
      }
      float[] narrow = new float[n * size * CHANNELS];
      resampling.applyTransposed(small, narrow, 1, size * CHANNELS);
      float[] cropped = new float[n * n * CHANNELS];
      resampling.applyTransposed(narrow, cropped, n, CHANNELS);
      for (int y = 0; y < n; y++) {
        int to = ((b * height + crop.top() + y) * width + crop.left()) * CHANNELS;
        System.arraycopy(cropped, y * n * CHANNELS, out, to, n * CHANNELS);
      }
    }
    return new PictureBatch(out, gradient.count(), height, width);
  }

  private static float[] crop(PictureBatch pictures, int b, Crop crop) {
    int n = crop.side();
    float[] cropped = new float[n * n * CHANNELS];
    for (int y = 0; y < n; y++) {
      int row = b * pictures.height() + crop.top() + y;
      int from = (row * pictures.width() + crop.left()) * CHANNELS;
      System.arraycopy(pictures.values(), from, cropped, y * n * CHANNELS, n * CHANNELS);
    }
    return cropped;
  }

  private static void check(int height, int width, Crop crop) {
    if (crop.top() + crop.side() > height || crop.left() + crop.side() > width) {
      throw new LongAlignException(
          crop + ": expected a part of pictures of " + height + " x " + width + " pixels");
    }
  }
}
