package dev.longalign.tensor.cuda;

import dev.longalign.tensor.DType;
import dev.longalign.tensor.LinearWeight;

/** A weight matrix on the device. */
final class PackedLinear extends LinearWeight {
  private final PackedMatrix matrix;

  PackedLinear(PackedMatrix matrix, int inFeatures, int outFeatures, DType dtype) {
    super(inFeatures, outFeatures, dtype);
    this.matrix = matrix;
  }

  PackedMatrix matrix() {
    return matrix;
  }

  @Override
  protected void release() {
    matrix.release();
  }
}
