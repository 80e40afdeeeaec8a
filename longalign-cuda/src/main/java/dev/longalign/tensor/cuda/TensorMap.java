package dev.longalign.tensor.cuda;

import com.sun.jna.Native;
import com.sun.jna.Pointer;
import dev.longalign.LongAlignException;
import dev.longalign.tensor.DType;
import java.nio.ByteBuffer;

/**
 * What the bulk copies of Hopper's kernels know of a tensor ({@code TensorMap} of hopper.cuh):
 * where it lies and how large the boxes are that they copy. The driver writes it.
 */
final class TensorMap {
  private static final int BYTES = 128;
  private static final int ALIGNMENT = 64;

  // CUtensorMapDataType, CUtensorMapSwizzle, CUtensorMapL2promotion
  private static final int FLOAT16 = 6;
  private static final int BFLOAT16 = 9;
  private static final int SWIZZLE_128B = 3;
  private static final int L2_128B = 2;

  /** Columns of a box: 128 bytes, a row as the products' operands have it. */
  private static final int COLUMNS = 64;

  private TensorMap() {}

  /** Whether the driver's call can be made. */
  static boolean available() {
    return JnaDriver.TENSOR_MAP_ENCODE_TILED != null;
  }

  /**
   * Of 16-bit rows [batch, rows, heads, size], for boxes of {@code boxRows} rows of 64 columns of a
   * head; columns and rows that do not exist come as zeros.
   *
   * @param address a multiple of 16
   * @param size a multiple of 8
   */
  static ByteBuffer ofHeads(
      DType dtype, long address, int batch, int rows, int heads, int size, int boxRows) {
    long row = (long) heads * size * Short.BYTES;
    long[] sizes = {size, heads, rows, batch};
    long[] strides = {(long) size * Short.BYTES, row, row * rows};
    int[] box = {COLUMNS, 1, boxRows, 1};
    ByteBuffer map = ByteBuffer.allocateDirect(BYTES + ALIGNMENT).alignedSlice(ALIGNMENT);
    int result =
        JnaDriver.TENSOR_MAP_ENCODE_TILED.invokeInt(
            new Object[] {
              Native.getDirectBufferPointer(map),
              dtype == DType.BF16 ? BFLOAT16 : FLOAT16,
              sizes.length,
              new Pointer(address),
              sizes,
              strides,
              box,
              new int[] {1, 1, 1, 1},
              0,
              SWIZZLE_128B,
              L2_128B,
              0
            });
    if (result != 0) {
      throw new LongAlignException(
          "the driver makes no map (error "
              + result
              + ") of a "
              + dtype
              + " tensor of "
              + batch
              + " x "
              + rows
              + " rows, "
              + heads
              + " heads of "
              + size
              + ", at 0x"
              + Long.toHexString(address));
    }
    return map;
  }
}
