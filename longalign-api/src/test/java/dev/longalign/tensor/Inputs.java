package dev.longalign.tensor;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Random;
import java.util.stream.LongStream;

/**
 * Seeded operands on one backend: the same seed gives the same values on every backend. Normally
 * distributed, with an outlier of eight standard deviations now and then. With {@code views}, every
 * tensor is a view that begins in the middle of its storage (at an offset no vector unit is aligned
 * to) and is surrounded by NaN, so that reading beside it shows.
 */
final class Inputs {
  private static final int BEFORE = 3;
  private static final int AFTER = 2;

  private final Backend backend;
  private final DType dtype;
  private final boolean views;
  private final Random random;

  Inputs(Backend backend, DType dtype, boolean views, long seed) {
    this.backend = backend;
    this.dtype = dtype;
    this.views = views;
    this.random = new Random(seed);
  }

  Backend backend() {
    return backend;
  }

  DType dtype() {
    return dtype;
  }

  Random random() {
    return random;
  }

  /** Mean 0, standard deviation 1, in the type under test. */
  Tensor normal(long... dims) {
    return of(values(0, 1, dims), dims);
  }

  Tensor around(double mean, double deviation, long... dims) {
    return of(values(mean, deviation, dims), dims);
  }

  /**
   * Like {@link #around} but f32 whatever the type under test is: scales, shifts, unpacked weights.
   */
  Tensor f32(double mean, double deviation, long... dims) {
    return upload(values(mean, deviation, dims), DType.F32, dims);
  }

  /** The given values in the type under test. */
  Tensor of(float[] values, long... dims) {
    return upload(values, dtype, dims);
  }

  /** Scales the values so that products keep a standard deviation near 1. */
  LinearWeight linear(int in, int out, boolean bias) {
    Tensor weight = f32(0, 1 / Math.sqrt(in), out, in);
    return backend.packLinear(weight, bias ? f32(0, 1, out) : null, dtype);
  }

  LinearWeight geglu(int in, int inner, boolean bias) {
    Tensor weight = f32(0, 1 / Math.sqrt(in), 2 * inner, in);
    return backend.packGeglu(weight, bias ? f32(0, 1, 2 * inner) : null, dtype);
  }

  Conv2dWeight conv2d(Conv2dGeometry g, boolean bias) {
    double deviation = 1 / Math.sqrt(g.inChannels() * g.kernelHeight() * g.kernelWidth());
    Tensor weight = f32(0, deviation, g.weightShape().toArray());
    return backend.packConv2d(weight, bias ? f32(0, 1, g.outChannels()) : null, g, dtype);
  }

  float[] values(double mean, double deviation, long... dims) {
    float[] values = new float[Math.toIntExact(LongStream.of(dims).reduce(1, Math::multiplyExact))];
    for (int i = 0; i < values.length; i++) {
      double value =
          random.nextInt(97) == 0
              ? 8 * Math.signum(random.nextDouble() - 0.5)
              : random.nextGaussian();
      values[i] = (float) (mean + deviation * value);
    }
    return values;
  }

  private Tensor upload(float[] values, DType type, long... dims) {
    if (!views) {
      return backend.upload(encode(values, type), type, Shape.of(dims));
    }
    float[] surrounded = new float[BEFORE + values.length + AFTER];
    java.util.Arrays.fill(surrounded, Float.NaN);
    System.arraycopy(values, 0, surrounded, BEFORE, values.length);
    Tensor whole = backend.upload(encode(surrounded, type), type, Shape.of(surrounded.length));
    return whole.rows(BEFORE, BEFORE + values.length).reshape(dims);
  }

  /** Little-endian F32, BF16 or F16 elements. */
  static ByteBuffer encode(float[] values, DType type) {
    ByteBuffer bytes =
        ByteBuffer.allocateDirect(values.length * type.bytes()).order(ByteOrder.LITTLE_ENDIAN);
    for (float value : values) {
      if (type == DType.F32) {
        bytes.putFloat(value);
      } else if (type == DType.F16) {
        bytes.putShort(ReferenceMath.toF16(ReferenceMath.round(type, value)));
      } else {
        bytes.putShort((short) (Float.floatToRawIntBits(ReferenceMath.round(type, value)) >>> 16));
      }
    }
    return bytes.flip();
  }
}
