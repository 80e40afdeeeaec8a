package dev.longalign.model;

import dev.longalign.io.StoredTensor;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;

/**
 * A parameter that training changes.
 *
 * @param name of the state dict
 * @param value an f32 variable
 * @param shape as torch stores it; of the same size as the value
 */
public record TrainableParameter(String name, Tensor value, Shape shape) {

  /** The values now, to be written to a file. */
  public StoredTensor stored(DType dtype) {
    return StoredTensor.ofFloats(name, dtype, shape, value.toFloats());
  }
}
