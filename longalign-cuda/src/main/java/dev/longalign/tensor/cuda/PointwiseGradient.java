package dev.longalign.tensor.cuda;

import dev.longalign.tensor.Activation;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;

/** Derivatives of what is done element by element. */
final class PointwiseGradient {
  private final CudaContext context;

  PointwiseGradient(CudaContext context) {
    this.context = context;
  }

  Tensor activation(Tensor x, Activation activation, Tensor dy) {
    throw new UnsupportedOperationException("activation of " + context.device().name());
  }

  Tensor gatedGelu(Tensor x, Tensor dy) {
    throw new UnsupportedOperationException("gatedGelu of " + context.device().name());
  }

  Tensor clamp(Tensor x, float low, float high, Tensor dy) {
    throw new UnsupportedOperationException("clamp of " + context.device().name());
  }

  Tensor pseudoHuber(Tensor x, float c, Tensor dy) {
    throw new UnsupportedOperationException("pseudoHuber of " + context.device().name());
  }

  Tensor expand(Tensor scalar, DType dtype, Shape shape) {
    throw new UnsupportedOperationException("expand of " + context.device().name());
  }

  Tensor upsampleNearest(Tensor dy, int height, int width) {
    throw new UnsupportedOperationException("upsampleNearest of " + context.device().name());
  }
}
