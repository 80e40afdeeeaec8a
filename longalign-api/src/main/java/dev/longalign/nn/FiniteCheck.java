package dev.longalign.nn;

import dev.longalign.LongAlignException;
import dev.longalign.io.StoredTensor;
import dev.longalign.tensor.DType;
import java.nio.ByteBuffer;
import java.nio.LongBuffer;

/**
 * Finds NaN and infinities among stored numbers: those whose exponent bits are all ones. Eight
 * bytes at a time, because a model has a billion numbers: masking everything but the exponents and
 * adding the lowest exponent bit carries into the (masked) sign bit exactly where an exponent is
 * all ones, and never further.
 */
public final class FiniteCheck {
  private static final int CHUNK = 4096;

  private FiniteCheck() {}

  /**
   * @return the tensor's bytes
   * @throws LongAlignException naming the tensor and the position of the first number that is not
   *     finite
   */
  public static ByteBuffer check(StoredTensor tensor) {
    ByteBuffer data = tensor.data();
    if (!isFinite(data, tensor.dtype())) {
      refuse(tensor, data);
    }
    return data;
  }

  /**
   * The tensor, which was converted from another type, unless that made a number infinite.
   *
   * @throws LongAlignException if its type cannot hold all numbers
   */
  public static StoredTensor converted(StoredTensor tensor) {
    if (!isFinite(tensor.data(), tensor.dtype())) {
      throw new LongAlignException(
          tensor.name()
              + ": expected numbers that "
              + tensor.dtype()
              + " can hold, found larger ones; write f32 or bf16");
    }
    return tensor;
  }

  private static boolean isFinite(ByteBuffer data, DType dtype) {
    long exponents = exponentMask(dtype);
    if (exponents == 0) {
      return true; // integers
    }
    long lowest = exponents & ~(exponents << 1);
    long signs = (exponents << 1) & ~exponents;
    LongBuffer longs = data.asLongBuffer();
    long[] chunk = new long[CHUNK];
    long found = 0;
    while (longs.hasRemaining() && found == 0) {
      int count = Math.min(CHUNK, longs.remaining());
      longs.get(chunk, 0, count);
      for (int i = 0; i < count; i++) {
        found |= (chunk[i] & exponents) + lowest;
      }
      found &= signs;
    }
    int tail = data.limit() & ~7;
    boolean tailFinite = true;
    for (int i = tail; i < data.limit(); i += dtype.bytes()) {
      tailFinite &= isFinite(data, i, dtype);
    }
    return found == 0 && tailFinite;
  }

  private static long exponentMask(DType dtype) {
    return switch (dtype) {
      case F64 -> 0x7ff0000000000000L;
      case F32 -> 0x7f8000007f800000L;
      case F16 -> 0x7c007c007c007c00L;
      case BF16 -> 0x7f807f807f807f80L;
      case F8_E5M2 -> 0x7c7c7c7c7c7c7c7cL;
      case F8_E4M3 -> 0x7f7f7f7f7f7f7f7fL; // no infinities, and one NaN: all bits but the sign
      default -> 0;
    };
  }

  private static boolean isFinite(ByteBuffer data, int at, DType dtype) {
    return switch (dtype) {
      case F64 -> Double.isFinite(data.getDouble(at));
      case F32 -> Float.isFinite(data.getFloat(at));
      case F8_E5M2 -> (data.get(at) & 0x7c) != 0x7c;
      case F8_E4M3 -> (data.get(at) & 0x7f) != 0x7f;
      case F16 -> (data.getShort(at) & 0x7c00) != 0x7c00;
      default -> (data.getShort(at) & 0x7f80) != 0x7f80;
    };
  }

  private static void refuse(StoredTensor tensor, ByteBuffer data) {
    int size = tensor.dtype().bytes();
    int bad = 0;
    int first = -1;
    for (int i = 0; i < data.limit(); i += size) {
      if (!isFinite(data, i, tensor.dtype())) {
        first = first < 0 ? i / size : first;
        bad++;
      }
    }
    throw new LongAlignException(
        tensor.name()
            + " in "
            + tensor.source()
            + ": expected finite numbers, found "
            + bad
            + " NaN or infinite of "
            + data.limit() / size
            + " (the first is element "
            + first
            + "); the file is damaged or was saved from a training that diverged: fetch it again");
  }
}
