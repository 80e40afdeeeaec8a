package dev.longalign.io;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.DType;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.ShortBuffer;

/** Conversions between the element types of files and Java's arrays. */
final class TensorValues {
  private TensorValues() {}

  static float[] floats(StoredTensor tensor) {
    ByteBuffer data = tensor.data();
    int n = count(tensor);
    float[] out = new float[n];
    switch (tensor.dtype()) {
      case F32 -> data.asFloatBuffer().get(out);
      case F16 -> {
        ShortBuffer shorts = data.asShortBuffer();
        for (int i = 0; i < n; i++) {
          out[i] = FloatBits.fromF16(shorts.get(i));
        }
      }
      case BF16 -> {
        ShortBuffer shorts = data.asShortBuffer();
        for (int i = 0; i < n; i++) {
          out[i] = FloatBits.fromBf16(shorts.get(i));
        }
      }
      case F64 -> {
        for (int i = 0; i < n; i++) {
          out[i] = (float) data.getDouble(8 * i);
        }
      }
      case F8_E4M3 -> {
        for (int i = 0; i < n; i++) {
          out[i] = FloatBits.fromF8E4M3(data.get(i));
        }
      }
      case F8_E5M2 -> {
        for (int i = 0; i < n; i++) {
          out[i] = FloatBits.fromF8E5M2(data.get(i));
        }
      }
      case U64 -> {
        for (int i = 0; i < n; i++) {
          out[i] = unsignedToFloat(data.getLong(8 * i));
        }
      }
      default -> {
        for (int i = 0; i < n; i++) {
          out[i] = integer(tensor.dtype(), data, i);
        }
      }
    }
    return out;
  }

  static double[] doubles(StoredTensor tensor) {
    int n = count(tensor);
    double[] out = new double[n];
    DType dtype = tensor.dtype();
    ByteBuffer data = tensor.data();
    if (dtype == DType.F64) {
      data.asDoubleBuffer().get(out);
    } else if (dtype.isFloating()) {
      float[] floats = floats(tensor);
      for (int i = 0; i < n; i++) {
        out[i] = floats[i];
      }
    } else {
      for (int i = 0; i < n; i++) {
        long value = integer(dtype, data, i);
        out[i] = dtype == DType.U64 && value < 0 ? (value >>> 1 | value & 1) * 2.0 : value;
      }
    }
    return out;
  }

  static long[] longs(StoredTensor tensor) {
    if (tensor.dtype().isFloating()) {
      throw new LongAlignException(tensor + ": expected integers, found " + tensor.dtype());
    }
    ByteBuffer data = tensor.data();
    long[] out = new long[count(tensor)];
    for (int i = 0; i < out.length; i++) {
      out[i] = integer(tensor.dtype(), data, i);
    }
    return out;
  }

  static ByteBuffer encode(String name, DType dtype, float[] values) {
    ByteBuffer out;
    try {
      out = ByteBuffer.allocate(Math.multiplyExact(values.length, dtype.bytes()));
    } catch (ArithmeticException tooLong) {
      throw new LongAlignException(
          "tensor '" + name + "': " + values.length + " values of " + dtype + " exceed 2 GiB");
    }
    out.order(ByteOrder.LITTLE_ENDIAN);
    switch (dtype) {
      case F32 -> out.asFloatBuffer().put(values);
      case F16 -> {
        for (int i = 0; i < values.length; i++) {
          out.putShort(2 * i, FloatBits.toF16(values[i]));
        }
      }
      case BF16 -> {
        for (int i = 0; i < values.length; i++) {
          out.putShort(2 * i, FloatBits.toBf16(values[i]));
        }
      }
      case F64 -> {
        for (int i = 0; i < values.length; i++) {
          out.putDouble(8 * i, values[i]);
        }
      }
      default ->
          throw new LongAlignException(
              "tensor '"
                  + name
                  + "': cannot store floats as "
                  + dtype
                  + "; use F32, F16, BF16 or F64");
    }
    return out;
  }

  /** An element of a non-floating tensor; u64 as its two's complement. */
  private static long integer(DType dtype, ByteBuffer data, int i) {
    return switch (dtype) {
      case I64, U64 -> data.getLong(8 * i);
      case I32 -> data.getInt(4 * i);
      case U32 -> Integer.toUnsignedLong(data.getInt(4 * i));
      case I16 -> data.getShort(2 * i);
      case U16 -> Short.toUnsignedInt(data.getShort(2 * i));
      case I8 -> data.get(i);
      case U8 -> Byte.toUnsignedInt(data.get(i));
      case BOOL -> data.get(i) != 0 ? 1 : 0;
      default -> throw new IllegalArgumentException(dtype + " is no integer type");
    };
  }

  private static float unsignedToFloat(long value) {
    // Halving with a sticky last bit keeps round-to-nearest right.
    return value >= 0 ? value : (value >>> 1 | value & 1) * 2f;
  }

  private static int count(StoredTensor tensor) {
    return Math.toIntExact(tensor.shape().size());
  }
}
