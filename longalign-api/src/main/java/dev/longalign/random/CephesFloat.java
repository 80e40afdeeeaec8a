package dev.longalign.random;

/**
 * Single precision log, sine and cosine after the Cephes library, evaluated with the fused
 * multiply-adds of PyTorch's AVX2 build: every intermediate rounding agrees, so {@code torch.randn}
 * is reproduced bit by bit on x86-64.
 */
final class CephesFloat {
  private static final float SQRT_HALF = 0.70710677f;
  private static final float LN2_LOW = -2.12194440e-4f;
  private static final float LN2_HIGH = 0.693359375f;
  private static final float[] LOG = {
    7.0376836292E-2f,
    -1.1514610310E-1f,
    1.1676998740E-1f,
    -1.2420140846E-1f,
    1.4249322787E-1f,
    -1.6668057665E-1f,
    2.0000714765E-1f,
    -2.4999993993E-1f,
    3.3333331174E-1f
  };

  private static final float FOUR_OVER_PI = 1.27323954473516f;
  private static final float[] MINUS_QUARTER_PI = {
    -0.78515625f, -2.4187564849853515625e-4f, -3.77489497744594108e-8f
  };
  private static final float[] COSINE = {
    2.443315711809948E-5f, -1.388731625493765E-3f, 4.166664568298827E-2f
  };
  private static final float[] SINE = {-1.9515295891E-4f, 8.3321608736E-3f, -1.6666654611E-1f};

  private CephesFloat() {}

  /** Natural logarithm of a normal number x > 0. */
  static float log(float x) {
    int bits = Float.floatToRawIntBits(x);
    float exponent = (bits >>> 23) - 126;
    float m = Float.intBitsToFloat((bits & 0x007fffff) | 0x3f000000);
    if (m < SQRT_HALF) {
      exponent -= 1;
      m = (m - 1) + m;
    } else {
      m -= 1;
    }
    float z = m * m;
    float y = polynomial(LOG, m) * m;
    y = Math.fma(y, z, exponent * LN2_LOW);
    y = Math.fma(-z, 0.5f, y);
    return Math.fma(exponent, LN2_HIGH, m + y);
  }

  /** Sine of x in [0, 8192). */
  static float sin(float x) {
    int octant = octant(x);
    float r = reduce(x, octant);
    float value = (octant & 2) == 0 ? sinPolynomial(r) : cosPolynomial(r);
    return (octant & 4) == 0 ? value : -value;
  }

  /** Cosine of x in [0, 8192). */
  static float cos(float x) {
    int octant = octant(x);
    float r = reduce(x, octant);
    float value = (octant & 2) == 0 ? cosPolynomial(r) : sinPolynomial(r);
    return ((octant - 2) & 4) != 0 ? value : -value;
  }

  private static int octant(float x) {
    return ((int) (x * FOUR_OVER_PI) + 1) & ~1;
  }

  private static float reduce(float x, int octant) {
    float r = x;
    for (float part : MINUS_QUARTER_PI) {
      r = Math.fma(octant, part, r);
    }
    return r;
  }

  private static float cosPolynomial(float r) {
    float z = r * r;
    float y = polynomial(COSINE, z) * z;
    return Math.fma(y, z, -(z * 0.5f)) + 1;
  }

  private static float sinPolynomial(float r) {
    float z = r * r;
    return Math.fma(polynomial(SINE, z) * z, r, r);
  }

  private static float polynomial(float[] coefficients, float x) {
    float y = coefficients[0];
    for (int i = 1; i < coefficients.length; i++) {
      y = Math.fma(y, x, coefficients[i]);
    }
    return y;
  }
}
