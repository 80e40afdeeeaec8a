package dev.longalign.preference;

import dev.longalign.io.ResampleFilter;

/**
 * Antialiased resize along one axis, bilinear if nothing else is asked for, as torch's {@code
 * interpolate(mode="bilinear", antialias=True, align_corners=False)} and torchvision's tensor
 * Resize do it; linear, so that gradients go back by the transpose.
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
    return of(in, out, ResampleFilter.BILINEAR);
  }

  static Resampling of(int in, int out, ResampleFilter filter) {
    ResampleFilter.Weights exact = filter.weights(in, out);
    float[][] weights = new float[out][];
    for (int i = 0; i < out; i++) {
      weights[i] = new float[exact.values()[i].length];
      for (int j = 0; j < weights[i].length; j++) {
        weights[i][j] = (float) exact.values()[i][j];
      }
    }
    return new Resampling(in, exact.first(), weights);
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
