package dev.longalign.io;

/**
 * How pixels are weighed when a picture is resized. When it is shrunk the filter is widened by the
 * same factor (antialiasing), as Pillow's {@code Image.resize} and torch's {@code
 * interpolate(antialias=True)} do it. Values outside of a picture do not exist: the weights of the
 * others are scaled to a sum of 1.
 */
public enum ResampleFilter {
  BOX(0.5),
  BILINEAR(1),
  HAMMING(1),
  /** Keys' cubic with a = -0.5. */
  BICUBIC(2),
  LANCZOS(3);

  private final double support;

  ResampleFilter(double support) {
    this.support = support;
  }

  /**
   * The rows of the matrix [out, in], without the zeros around them.
   *
   * @param first the source pixel of the first weight, for each result pixel
   * @param values weights of the source pixels from there on; their sum is 1
   */
  @SuppressWarnings("ArrayRecordComponent") // inner loops read them
  public record Weights(int[] first, double[][] values) {}

  /** The weights of {@code in} pixels in each of {@code out}. */
  public Weights weights(int in, int out) {
    return weights(in, out, 0, out);
  }

  /** The same for {@code count} of the result's pixels, beginning with {@code from}. */
  Weights weights(int in, long out, long from, int count) {
    double scale = (double) in / out;
    double stretch = Math.max(scale, 1);
    double reach = support * stretch;
    int[] first = new int[count];
    double[][] values = new double[count][];
    for (int i = 0; i < count; i++) {
      double center = (from + i + 0.5) * scale;
      first[i] = Math.max(0, (int) (center - reach + 0.5));
      int end = Math.min(in, (int) (center + reach + 0.5));
      double[] row = new double[end - first[i]];
      double sum = 0;
      for (int j = 0; j < row.length; j++) {
        row[j] = value((j + first[i] - center + 0.5) * (1 / stretch));
        sum += row[j];
      }
      for (int j = 0; j < row.length && sum != 0; j++) {
        row[j] /= sum;
      }
      values[i] = row;
    }
    return new Weights(first, values);
  }

  private double value(double x) {
    double size = Math.abs(x);
    return switch (this) {
      case BOX -> x > -0.5 && x <= 0.5 ? 1 : 0;
      case BILINEAR -> Math.max(0, 1 - size);
      case HAMMING -> size < 1 ? sinc(x) * (0.54 + 0.46 * Math.cos(Math.PI * x)) : 0;
      case BICUBIC -> cubic(size);
      case LANCZOS -> size < 3 ? sinc(x) * sinc(x / 3) : 0;
    };
  }

  private static double sinc(double x) {
    return x == 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
  }

  private static double cubic(double x) {
    if (x < 1) {
      return (1.5 * x - 2.5) * x * x + 1;
    }
    return x < 2 ? -0.5 * (((x - 5) * x + 8) * x - 4) : 0;
  }
}
