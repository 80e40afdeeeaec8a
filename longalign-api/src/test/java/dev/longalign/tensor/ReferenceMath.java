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

  /** The nearest value of the type, ties to even. */
  static float round(DType dtype, double value) {
    float single = (float) value;
    if (dtype == DType.F32 || Float.isNaN(single) || Float.isInfinite(single)) {
      return single;
    }
    int bits = Float.floatToRawIntBits(single);
    return Float.intBitsToFloat((bits + 0x7fff + ((bits >>> 16) & 1)) & 0xffff0000);
  }
}
