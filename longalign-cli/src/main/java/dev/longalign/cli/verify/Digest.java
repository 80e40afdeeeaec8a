package dev.longalign.cli.verify;

import com.google.gson.JsonObject;

/**
 * What a recording keeps of a large tensor: sums over its row-major elements in f64.
 *
 * @param sum of the elements
 * @param l2 square root of the sum of squares
 * @param maxAbs largest magnitude
 * @param patternDot sum of x[i] * (((i * 40503) mod 65536) / 65536 - 0.5)
 */
record Digest(double sum, double l2, double maxAbs, double patternDot) {
  private static final long FACTOR = 40503;
  private static final double MODULUS = 65536;

  static Digest of(float[] values) {
    double sum = 0;
    double squares = 0;
    double maxAbs = 0;
    double dot = 0;
    for (int i = 0; i < values.length; i++) {
      double x = values[i];
      sum += x;
      squares += x * x;
      maxAbs = Math.max(maxAbs, Math.abs(x));
      dot += x * (i * FACTOR % (long) MODULUS / MODULUS - 0.5);
    }
    return new Digest(sum, Math.sqrt(squares), maxAbs, dot);
  }

  /**
   * Passes if the values, taken together, are no further off than {@code together} (as the root of
   * the sum of squares) and the largest no further than {@code largest}.
   */
  void check(
      String name, JsonObject expected, int count, double together, double largest, Comparison c) {
    c.close(name + " l2", expected.get("l2").getAsDouble(), l2, together);
    c.close(name + " max_abs", expected.get("max_abs").getAsDouble(), maxAbs, largest);
    c.close(name + " pattern_dot", expected.get("pattern_dot").getAsDouble(), patternDot, together);
    // Errors of one sign add up.
    double allowed = together * Math.sqrt(count);
    c.close(name + " sum", expected.get("sum").getAsDouble(), sum, allowed);
  }

  /** Sums of many elements of both signs may be off by a small part of the length. */
  void check(String name, JsonObject expected, Comparison comparison) {
    double length = expected.get("l2").getAsDouble();
    double largest = expected.get("max_abs").getAsDouble();
    comparison.close(name + " l2", length, l2, Comparison.F32 * length);
    comparison.close(name + " max_abs", largest, maxAbs, Comparison.F32 * largest);
    double allowed = Comparison.END_TO_END * length;
    comparison.close(name + " sum", expected.get("sum").getAsDouble(), sum, allowed);
    comparison.close(
        name + " pattern_dot", expected.get("pattern_dot").getAsDouble(), patternDot, allowed);
  }
}
