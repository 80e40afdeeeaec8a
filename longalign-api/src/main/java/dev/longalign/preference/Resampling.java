package dev.longalign.preference;

/**
 * Antialiased bilinear resize along one axis, as torch's {@code interpolate(mode="bilinear",
 * antialias=True, align_corners=False)} and torchvision's tensor Resize do it: a matrix [out, in]
 * of which each row is a triangle, widened by in / out when shrinking. Only the entries that are
 * not zero are kept.
 */
final class Resampling {
  private final int in;
  private final int[] first;
  private final float[][] weights;

  private Resampling(int in, int[] first, float[][] weights) {
    this.in = in;
    this.first = first;
    this.weights = weights;
  }

  static Resampling of(int in, int out) {
    double scale = (double) in / out;
    double support = Math.max(scale, 1);
    int[] first = new int[out];
    float[][] weights = new float[out][];
    for (int i = 0; i < out; i++) {
      double centre = scale * (i + 0.5);
      first[i] = Math.max((int) (centre - support + 0.5), 0);
      int end = Math.min((int) (centre + support + 0.5), in);
      double[] row = new double[end - first[i]];
      double sum = 0;
      for (int j = 0; j < row.length; j++) {
        row[j] = Math.max(0, 1 - Math.abs((j + first[i] - centre + 0.5) / support));
        sum += row[j];
      }
      weights[i] = new float[row.length];
      for (int j = 0; j < row.length; j++) {
        weights[i][j] = (float) (row[j] / sum);
      }
    }
    return new Resampling(in, first, weights);
  }

  int in() {
    return in;
  }

  int out() {
    return first.length;
  }

  /**
   * y[outer, out, inner] += M x[outer, in, inner].
   *
   * @param outer product of the extents before the axis
   * @param inner product of those after it
   */
  void apply(float[] x, float[] y, int outer, int inner) {
    for (int o = 0; o < outer; o++) {
      for (int i = 0; i < out(); i++) {
        int to = (o * out() + i) * inner;
        for (int j = 0; j < weights[i].length; j++) {
          add(x, (o * in + first[i] + j) * inner, y, to, inner, weights[i][j]);
        }
      }
    }
  }

  /** x[outer, in, inner] += M^T y[outer, out, inner]. */
  void applyTransposed(float[] y, float[] x, int outer, int inner) {
    for (int o = 0; o < outer; o++) {
      for (int i = 0; i < out(); i++) {
        int from = (o * out() + i) * inner;
        for (int j = 0; j < weights[i].length; j++) {
          add(y, from, x, (o * in + first[i] + j) * inner, inner, weights[i][j]);
        }
      }
    }
  }

  private static void add(float[] from, int at, float[] to, int start, int count, float factor) {
    for (int k = 0; k < count; k++) {
      to[start + k] += factor * from[at + k];
    }
  }
}
