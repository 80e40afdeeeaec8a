package dev.longalign.nn;

import dev.longalign.LongAlignException;
import dev.longalign.io.StoredTensor;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.nio.ByteBuffer;

/** Stored numbers as parameters. */
public final class Uploads {
  private Uploads() {}

  /**
   * The tensor as f32 in another shape of equal size.
   *
   * @throws LongAlignException if a number is NaN or infinite
   */
  public static Tensor f32(Backend backend, StoredTensor tensor, Shape shape) {
    ByteBuffer data = FiniteCheck.check(tensor);
    if (!backend.supports(tensor.dtype())) {
      return Tensor.of(backend, shape, tensor.toFloats()); // converted on the host
    }
    try (TensorScope scope = TensorScope.open()) {
      return scope.keep(backend.upload(data, tensor.dtype(), shape).cast(DType.F32));
    }
  }
}
