package dev.longalign.io;

/**
 * Small floating point formats to and from f32; encoders round to nearest, ties to even, as torch
 * does.
 */
final class FloatBits {
  private static final float MIN_NORMAL_HALF = 0x1p-14f;

  private FloatBits() {}

  static float fromBf16(short bits) {
    return Float.intBitsToFloat(bits << 16);
  }

  static short toBf16(float value) {
    if (Float.isNaN(value)) {
      return (short) 0x7fc0;
    }
    int bits = Float.floatToRawIntBits(value);
    return (short) ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16);
  }

  /** IEEE binary16. */
  static float fromF16(short half) {
    int sign = (half & 0x8000) << 16;
    int exponent = (half >>> 10) & 0x1f;
    int mantissa = half & 0x3ff;
    if (exponent == 0) {
      float magnitude = mantissa * 0x1p-24f; // zero and subnormals, exact
      return Float.intBitsToFloat(Float.floatToRawIntBits(magnitude) | sign);
    }
    int exponent32 = exponent == 0x1f ? 0xff : exponent + 112;
    return Float.intBitsToFloat(sign | (exponent32 << 23) | (mantissa << 13));
  }

  static short toF16(float value) {
    int bits = Float.floatToRawIntBits(value);
    int sign = (bits >>> 16) & 0x8000;
    float magnitude = Math.abs(value);
    if (Float.isNaN(value)) {
      return (short) (sign | 0x7e00);
    }
    if (magnitude >= 65520f) { // halfway between the largest half and the next step
      return (short) (sign | 0x7c00);
    }
    if (magnitude < MIN_NORMAL_HALF) {
      return (short)
          (sign | (int) Math.rint(magnitude * 0x1p24)); // exact product, rint ties to even
    }
    int rounded = (bits & 0x7fffffff) + 0xfff + ((bits >>> 13) & 1);
    return (short) (sign | ((rounded >>> 13) - (112 << 10)));
  }

  /** OCP E4M3 ("fn": no infinities, 0x7f is NaN, the largest value is 448). */
  static float fromF8E4M3(byte b) {
    int exponent = (b >>> 3) & 0xf;
    int mantissa = b & 7;
    float magnitude;
    if (exponent == 0xf && mantissa == 7) {
      magnitude = Float.NaN;
    } else if (exponent == 0) {
      magnitude = mantissa * 0x1p-9f;
    } else {
      magnitude = Math.scalb(1f + mantissa / 8f, exponent - 7);
    }
    return b < 0 ? -magnitude : magnitude;
  }

  /** OCP E5M2: the upper byte of a binary16. */
  static float fromF8E5M2(byte b) {
    return fromF16((short) (b << 8));
  }
}
