package dev.longalign.tensor.cuda;

import dev.longalign.tensor.Activation;
import dev.longalign.tensor.Tensor;

/** Derivatives of the normalisations. */
final class NormGradient {
  private final CudaContext context;

  NormGradient(CudaContext context) {
    this.context = context;
  }

  Tensor[] groupNorm(
      Tensor x,
      int groups,
      Tensor gamma,
      Tensor beta,
      float eps,
      Activation activation,
      Tensor dy,
      boolean[] wanted) {
    throw new UnsupportedOperationException("groupNorm of " + context.device().name());
  }

  Tensor[] layerNorm(Tensor x, Tensor gamma, float eps, Tensor dy, boolean[] wanted) {
    throw new UnsupportedOperationException("layerNorm of " + context.device().name());
  }

  Tensor normalizeRows(Tensor x, Tensor dy) {
    throw new UnsupportedOperationException("normalizeRows of " + context.device().name());
  }
}
