package dev.longalign.cli;

import dev.longalign.tensor.DType;

/** What {@code --precision} takes where weights are written. */
enum WeightPrecision {
  F16(DType.F16),
  BF16(DType.BF16),
  F32(DType.F32);

  private final DType dtype;

  WeightPrecision(DType dtype) {
    this.dtype = dtype;
  }

  /** Null for none. */
  static DType dtype(WeightPrecision asked) {
    return asked == null ? null : asked.dtype;
  }
}
