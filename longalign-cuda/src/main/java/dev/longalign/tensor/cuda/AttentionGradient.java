package dev.longalign.tensor.cuda;

import dev.longalign.tensor.Tensor;

/** Derivatives of attention. */
final class AttentionGradient {
  private final CudaContext context;

  AttentionGradient(CudaContext context) {
    this.context = context;
  }

  Tensor[] attention(
      Tensor q, Tensor k, Tensor v, int heads, float scale, Tensor dy, boolean[] wanted) {
    throw new UnsupportedOperationException("attention of " + context.device().name());
  }

  Tensor[] causalAttention(
      Tensor q, Tensor k, Tensor v, int heads, float scale, Tensor dy, boolean[] wanted) {
    throw new UnsupportedOperationException("causalAttention of " + context.device().name());
  }
}
