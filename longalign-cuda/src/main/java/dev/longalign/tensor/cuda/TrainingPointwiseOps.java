package dev.longalign.tensor.cuda;

import dev.longalign.tensor.Tensor;

/** What training does element by element. */
final class TrainingPointwiseOps {
  private final CudaContext context;

  TrainingPointwiseOps(CudaContext context) {
    this.context = context;
  }

  Tensor multiply(Tensor a, Tensor b) {
    throw new UnsupportedOperationException("multiply of " + context.device().name());
  }

  Tensor dropout(Tensor x, float p, long key) {
    throw new UnsupportedOperationException("dropout of " + context.device().name());
  }

  Tensor pseudoHuber(Tensor x, float c) {
    throw new UnsupportedOperationException("pseudoHuber of " + context.device().name());
  }

  Tensor scaleExp(Tensor x, Tensor logScale) {
    throw new UnsupportedOperationException("scaleExp of " + context.device().name());
  }
}
