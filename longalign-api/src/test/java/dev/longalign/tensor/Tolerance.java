package dev.longalign.tensor;

import java.util.Locale;

/**
 * How far a result may be from what is expected: {@code max |actual - expected| <= relative *
 * max(floor, max |expected|)}. Where NaN or an infinity is expected, exactly that must be found,
 * and nowhere else.
 *
 * @param relative the error allowed per unit of the largest expected magnitude
 * @param floor keeps the bound above zero when everything expected is (nearly) zero
 */
public record Tolerance(double relative, double floor) {
  /** For results computed in f32. */
  public static final Tolerance F32 = new Tolerance(1e-4, 1e-3);

  /** For results computed in bf16, which keeps 8 bits of a number. */
  public static final Tolerance BF16 = new Tolerance(2e-2, 1e-2);

  /** For results computed in f16, which keeps 11 bits of a number. */
  public static final Tolerance F16 = new Tolerance(4e-3, 2e-3);

  /** Not one bit of difference. */
  public static final Tolerance EXACT = new Tolerance(0, 0);

  public static Tolerance relative(double relative) {
    return new Tolerance(relative, F32.floor);
  }

  /** The one for results computed in that type. */
  public static Tolerance of(DType dtype) {
    return switch (dtype) {
      case BF16 -> BF16;
      case F16 -> F16;
      default -> F32;
    };
  }

  /** Compares shapes and values of two tensors, which may be of different backends. */
  public void check(String what, Tensor expected, Tensor actual) {
    if (expected.dtype() != actual.dtype()) {
      throw new AssertionError(
          what + ": expected type " + expected.dtype() + ", got " + actual.dtype());
    }
    check(what, expected.shape(), expected.toFloats(), actual);
  }

  /** Compares values with a tensor of the given shape. */
  public void check(String what, Shape shape, float[] expected, Tensor actual) {
    if (!shape.equals(actual.shape())) {
      throw new AssertionError(what + ": expected shape " + shape + ", got " + actual.shape());
    }
    check(what, shape, expected, actual.toFloats());
  }

  /** Compares values; the shape only serves the message. */
  public void check(String what, Shape shape, float[] expected, float[] actual) {
    if (expected.length != actual.length) {
      throw new AssertionError(
          what + ": expected " + expected.length + " values, got " + actual.length);
    }
    double magnitude = floor;
    for (float value : expected) {
      if (Float.isFinite(value)) {
        magnitude = Math.max(magnitude, Math.abs(value));
      }
    }
    int worst = -1;
    int bad = 0;
    double worstError = -1;
    for (int i = 0; i < expected.length; i++) {
      double error = error(expected[i], actual[i]);
      bad += error > relative * magnitude ? 1 : 0;
      if (error > worstError) {
        worst = i;
        worstError = error;
      }
    }
    if (bad > 0) {
      throw new AssertionError(
          String.format(
              Locale.ROOT,
              "%s: at %s expected %s, got %s: error %.3g is the largest; allowed %.3g = %.3g * %.4g; %d of %d values of %s are off",
              what,
              index(shape, worst),
              expected[worst],
              actual[worst],
              worstError,
              relative * magnitude,
              relative,
              magnitude,
              bad,
              expected.length,
              shape));
    }
  }

  private static double error(float expected, float actual) {
    if (Float.compare(expected, actual) == 0 || expected == actual) {
      return 0;
    }
    double error = Math.abs((double) actual - expected);
    return Double.isNaN(error) ? Double.POSITIVE_INFINITY : error;
  }

  /** The position of the i-th element, for example {@code [1, 0, 17]}. */
  private static Shape index(Shape shape, int i) {
    long[] index = shape.toArray();
    long rest = i;
    for (int axis = index.length - 1; axis >= 0; axis--) {
      long extent = index[axis];
      index[axis] = rest % extent;
      rest /= extent;
    }
    return Shape.of(index);
  }
}
