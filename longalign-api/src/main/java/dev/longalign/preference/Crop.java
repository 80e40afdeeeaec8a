package dev.longalign.preference;

import java.util.random.RandomGenerator;

/**
 * A square part of a picture. The reference takes 504 of 512 pixels before it scores, so that a
 * generator cannot learn to please at fixed places.
 *
 * @param top first row
 * @param left first column
 * @param side rows and columns
 */
public record Crop(int top, int left, int side) {
  private static final int REFERENCE_CROP = 504;
  private static final int REFERENCE_SIDE = 512;

  public Crop {
    if (top < 0 || left < 0 || side < 1) {
      throw new IllegalArgumentException(
          "crop: expected an offset of at least 0 and a side of at least 1, found "
              + side
              + " at ("
              + top
              + ", "
              + left
              + ")");
    }
  }

  /**
   * The side of the reference's crop, in proportion: 504 for 512. A picture that is not larger than
   * what the model reads loses nothing.
   *
   * @param modelSize rows and columns that the model reads
   */
  public static int side(int height, int width, int modelSize) {
    int shorter = Math.min(height, width);
    int cropped = Math.round((float) shorter * REFERENCE_CROP / REFERENCE_SIDE);
    return Math.max(1, shorter <= modelSize ? shorter : Math.max(cropped, modelSize));
  }

  /** In the middle of the picture. */
  public static Crop centre(int height, int width, int modelSize) {
    int side = side(height, width, modelSize);
    return new Crop((height - side) / 2, (width - side) / 2, side);
  }

  /** Anywhere in the picture, all places alike. */
  public static Crop random(int height, int width, int modelSize, RandomGenerator random) {
    int side = side(height, width, modelSize);
    return new Crop(random.nextInt(height - side + 1), random.nextInt(width - side + 1), side);
  }
}
