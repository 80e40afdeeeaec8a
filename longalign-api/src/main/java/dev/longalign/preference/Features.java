package dev.longalign.preference;

import dev.longalign.LongAlignException;
import java.util.Arrays;
import java.util.List;

/**
 * Vectors of texts or pictures in the space that both share: [count, width], row-major f32.
 *
 * @param values count * width numbers; not copied
 */
public record Features(float[] values, int count, int width) {
  public Features {
    if (values.length != (long) count * width) {
      throw new IllegalArgumentException(
          values.length + " values do not fill [" + count + ", " + width + "]");
    }
  }

  /** Joins rows of equal length. */
  public static Features of(List<float[]> rows) {
    int width = rows.isEmpty() ? 0 : rows.get(0).length;
    float[] values = new float[Math.multiplyExact(rows.size(), width)];
    for (int i = 0; i < rows.size(); i++) {
      if (rows.get(i).length != width) {
        throw new IllegalArgumentException(
            "row " + i + " has " + rows.get(i).length + " numbers, the first has " + width);
      }
      System.arraycopy(rows.get(i), 0, values, i * width, width);
    }
    return new Features(values, rows.size(), width);
  }

  /** A copy of one row. */
  public float[] row(int index) {
    return Arrays.copyOfRange(values, index * width, (index + 1) * width);
  }

  /** A copy of the rows [from, to). */
  public Features rows(int from, int to) {
    return new Features(Arrays.copyOfRange(values, from * width, to * width), to - from, width);
  }

  /**
   * Every row divided by its length.
   *
   * @throws LongAlignException if a row is zero or not finite, and so has no direction
   */
  public Features normalised() {
    float[] scaled = new float[values.length];
    for (int i = 0; i < count; i++) {
      float[] row = Vectors.normalised(row(i), "feature " + i);
      System.arraycopy(row, 0, scaled, i * width, width);
    }
    return new Features(scaled, count, width);
  }

  /** The mean of all rows; not normalised. */
  public float[] mean() {
    double[] sum = new double[width];
    for (int i = 0; i < values.length; i++) {
      sum[i % width] += values[i];
    }
    float[] mean = new float[width];
    for (int d = 0; d < width; d++) {
      mean[d] = (float) (sum[d] / count);
    }
    return mean;
  }
}
