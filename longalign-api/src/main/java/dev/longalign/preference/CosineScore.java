package dev.longalign.preference;

/**
 * The score of a picture with a text direction: {@code <T, I / |I|>}. T is not normalised here: the
 * mean of segments and a reweighted text are meant to be shorter than 1. There is no logit scale.
 */
public final class CosineScore {
  private CosineScore() {}

  /**
   * @param text T
   * @param image I, of any length but 0
   */
  public static double of(float[] text, float[] image) {
    return Vectors.dot(text, image) / Vectors.length(image);
  }

  /** The gradient with respect to I: (T - score I / |I|) / |I|. */
  public static float[] imageGradient(float[] text, float[] image) {
    double length = Vectors.length(image);
    double score = of(text, image);
    return Vectors.plus(text, 1 / length, image, -score / (length * length));
  }

  /** All pairs: [texts][images]. */
  public static double[][] all(Features texts, Features images) {
    double[][] scores = new double[texts.count()][images.count()];
    for (int t = 0; t < scores.length; t++) {
      float[] text = texts.row(t);
      for (int i = 0; i < scores[t].length; i++) {
        scores[t][i] = of(text, images.row(i));
      }
    }
    return scores;
  }
}
