package dev.longalign.tensor;

/**
 * Element types. Backends compute in {@link #F32}, {@link #BF16} or {@link #F16}; the others occur
 * in files.
 */
public enum DType {
  F64(8),
  F32(4),
  F16(2),
  BF16(2),
  I64(8),
  I32(4),
  I16(2),
  I8(1),
  U8(1),
  U16(2),
  U32(4),
  U64(8),
  BOOL(1),
  F8_E4M3(1),
  F8_E5M2(1);

  private final int bytes;

  DType(int bytes) {
    this.bytes = bytes;
  }

  /** Size of one element in bytes. */
  public int bytes() {
    return bytes;
  }

  /** Whether this is a floating point type. */
  public boolean isFloating() {
    return this == F64
        || this == F32
        || this == F16
        || this == BF16
        || this == F8_E4M3
        || this == F8_E5M2;
  }
}
