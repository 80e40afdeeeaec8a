package dev.longalign.tensor.cuda;

import dev.longalign.tensor.Conv2dGeometry;
import dev.longalign.tensor.Conv2dWeight;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.LinearWeight;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;

/** Derivatives of matrix products and convolutions. */
final class ProductGradient {
  private final CudaContext context;

  ProductGradient(CudaContext context) {
    this.context = context;
  }

  Tensor linearInput(Tensor dy, LinearWeight weight) {
    throw new UnsupportedOperationException("linearInput of " + context.device().name());
  }

  Tensor geglu(Tensor x, LinearWeight packedGeglu, Tensor dy) {
    throw new UnsupportedOperationException("geglu of " + context.device().name());
  }

  Tensor conv2dInput(Tensor dy, Conv2dWeight weight, Shape x) {
    throw new UnsupportedOperationException("conv2dInput of " + context.device().name());
  }

  Tensor conv2dInput(Tensor dy, Tensor weight, Conv2dGeometry geometry, Shape x) {
    throw new UnsupportedOperationException("conv2dInput of " + context.device().name());
  }

  Tensor conv2dWeight(Tensor x, Tensor dy, Conv2dGeometry geometry) {
    throw new UnsupportedOperationException("conv2dWeight of " + context.device().name());
  }

  Tensor matmulTransposedA(Tensor a, Tensor b, DType dtype) {
    throw new UnsupportedOperationException("matmulTransposedA of " + context.device().name());
  }
}
