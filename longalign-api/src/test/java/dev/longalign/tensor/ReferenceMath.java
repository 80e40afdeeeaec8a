package dev.longalign.tensor;

/** Scalar functions of the reference backend, in double precision. */
final class ReferenceMath {
  private ReferenceMath() {}

  static double apply(Activation activation, double x) {
    return switch (activation) {
      case NONE -> x;
      case SILU -> x / (1 + Math.exp(-x));
      case GELU -> gelu(x);
    };
  }

  static double derivative(Activation activation, double x) {
    return switch (activation) {
      case NONE -> 1;
      case SILU -> {
        double sigmoid = 1 / (1 + Math.exp(-x));
        yield sigmoid * (1 + x * (1 - sigmoid));
      }
      case GELU ->
          0.5 * (1 + erf(x / Math.sqrt(2))) + x * Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI);
    };
  }

  /** {@code x * Phi(x)}. */
  static double gelu(double x) {
    return 0.5 * x * (1 + erf(x / Math.sqrt(2)));
  }

  /**
   * The error function by {@code 2/sqrt(pi) exp(-x^2) sum_n 2^n x^(2n+1) / (2n+1)!!} (Abramowitz
   * and Stegun 7.1.6); all terms have one sign, so nothing cancels. Beyond 6 it is 1 to double
   * precision.
   */
  static double erf(double x) {
    if (Double.isNaN(x) || Math.abs(x) > 6) {
      return Double.isNaN(x) ? x : Math.signum(x);
    }
    double term = x;
    double sum = x;
    for (int n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
      term *= 2 * x * x / (2 * n + 1);
      sum += term;
    }
    return 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * sum;
  }

  /** The bits of a value that f16 can represent. */
  static short toF16(float value) {
    int sign = Float.floatToRawIntBits(value) >>> 16 & 0x8000;
    float size = Math.abs(value);
    if (!(size <= 65504)) {
      return (short) (sign | (Float.isNaN(value) ? 0x7e00 : 0x7c00));
    }
    int exponent = Math.max(Math.getExponent(size), -14);
    return (short) (sign | ((exponent + 14) << 10) + (int) Math.scalb(size, 10 - exponent));
  }

  static float fromF16(short bits) {
    int exponent = bits >>> 10 & 31;
    int mantissa = bits & 1023;
    float size =
        exponent == 31
            ? mantissa == 0 ? 1 / 0f : 0 / 0f
            : Math.scalb(exponent == 0 ? mantissa : mantissa + 1024f, Math.max(exponent, 1) - 25);
    return bits < 0 ? -size : size;
  }

  /** The nearest value of the type, ties to even. */
  static float round(DType dtype, double value) {
    float single = (float) value;
    if (dtype == DType.F32 || Float.isNaN(single) || Float.isInfinite(single)) {
      return single;
    }
    if (dtype == DType.F16) {
      double unit = Math.scalb(1.0, Math.max(Math.getExponent(value), -14) - 10);
      double rounded = Math.rint(value / unit) * unit;
      return Math.abs(rounded) < 65520 ? (float) rounded : Math.copySign(1 / 0f, single);
    }
    int bits = Float.floatToRawIntBits(single);
    return Float.intBitsToFloat((bits + 0x7fff + ((bits >>> 16) & 1)) & 0xffff0000);
  }
}
