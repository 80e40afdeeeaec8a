package dev.longalign.preference;

import dev.longalign.LongAlignException;

/** Arithmetic of single vectors, summed in f64. */
final class Vectors {
  private Vectors() {}

  static double dot(float[] a, float[] b) {
    if (a.length != b.length) {
      throw new LongAlignException(
          "expected vectors of equal width, found "
              + a.length
              + " and "
              + b.length
              + "; do they come from the same preference model?");
    }
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += (double) a[i] * b[i];
    }
    return sum;
  }

  static double length(float[] a) {
    return Math.sqrt(dot(a, a));
  }

  /** {@code a / |a|}; {@code what} is for the message if there is no direction. */
  static float[] normalised(float[] a, String what) {
    double length = length(a);
    if (!(length > 0) || Double.isInfinite(length)) {
      throw new LongAlignException(
          what + ": expected a vector with a direction, found one of length " + length);
    }
    return plus(a, 1 / length, a, 0);
  }

  /** {@code s a + t b}. */
  static float[] plus(float[] a, double s, float[] b, double t) {
    float[] sum = new float[a.length];
    for (int i = 0; i < a.length; i++) {
      sum[i] = (float) (s * a[i] + t * b[i]);
    }
    return sum;
  }
}
