package dev.longalign;

/** Argument checks whose messages say what, expected, found and, where there is one, the remedy. */
final class Checks {
  private static final int MIN_SIDE = 8;
  private static final int MAX_SIDE = 8192;

  private Checks() {}

  static void range(String name, int value, int from, int to) {
    if (value < from || value > to) {
      throw new IllegalArgumentException(
          name + ": expected " + from + " to " + to + ", found " + value);
    }
  }

  /** NaN is out of every range. */
  static void range(String name, float value, float from, float to) {
    if (!(value >= from && value <= to)) {
      String low = from == Float.MIN_VALUE ? "more than 0" : Float.toString(from);
      throw new IllegalArgumentException(
          name + ": expected " + low + " to " + to + ", found " + value);
    }
  }

  /** Eight pixels are one latent. */
  static void pictureSide(String name, int pixels) {
    range(name, pixels, MIN_SIDE, MAX_SIDE);
    if (pixels % 8 != 0) {
      int below = pixels / 8 * 8;
      throw new IllegalArgumentException(
          name
              + ": expected a multiple of 8, found "
              + pixels
              + "; use "
              + below
              + " or "
              + (below + 8));
    }
  }
}
