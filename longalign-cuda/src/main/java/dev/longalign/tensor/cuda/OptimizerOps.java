package dev.longalign.tensor.cuda;

import dev.longalign.tensor.AdamW;
import dev.longalign.tensor.Tensor;

/** In place on f32 tensors: accumulation, norms, AdamW. */
final class OptimizerOps {
  private final CudaContext context;

  OptimizerOps(CudaContext context) {
    this.context = context;
  }

  void accumulate(Tensor into, float factor, Tensor x) {
    throw new UnsupportedOperationException("accumulate of " + context.device().name());
  }

  double sumOfSquares(Tensor x) {
    throw new UnsupportedOperationException("sumOfSquares of " + context.device().name());
  }

  void adamW(
      AdamW settings, Tensor parameter, Tensor gradient, Tensor firstMoment, Tensor secondMoment) {
    throw new UnsupportedOperationException("adamW of " + context.device().name());
  }
}
