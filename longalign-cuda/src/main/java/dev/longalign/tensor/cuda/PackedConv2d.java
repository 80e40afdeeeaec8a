package dev.longalign.tensor.cuda;

import dev.longalign.tensor.Conv2dGeometry;
import dev.longalign.tensor.Conv2dWeight;
import dev.longalign.tensor.DType;

/** A convolution kernel on the device. */
final class PackedConv2d extends Conv2dWeight {
  private final PackedMatrix matrix;

  PackedConv2d(PackedMatrix matrix, Conv2dGeometry geometry, DType dtype) {
    super(geometry, dtype);
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
