package dev.longalign.tensor.cuda;

import dev.longalign.tensor.Tensor;

/** Sums over rows and columns, rows by their numbers, and what their derivatives are made of. */
final class RowOps {
  private final CudaContext context;

  RowOps(CudaContext context) {
    this.context = context;
  }

  Tensor columnSums(Tensor x, int groups) {
    throw new UnsupportedOperationException("columnSums of " + context.device().name());
  }

  Tensor scaleRows(Tensor x, Tensor factors) {
    throw new UnsupportedOperationException("scaleRows of " + context.device().name());
  }

  Tensor scatterRows(Tensor dy, int[] rows, long count) {
    throw new UnsupportedOperationException("scatterRows of " + context.device().name());
  }

  Tensor logSumExp(Tensor x, Tensor dy) {
    throw new UnsupportedOperationException("logSumExp of " + context.device().name());
  }

  Tensor normalizeRows(Tensor x) {
    throw new UnsupportedOperationException("normalizeRows of " + context.device().name());
  }

  Tensor gatherRows(Tensor x, int[] rows) {
    throw new UnsupportedOperationException("gatherRows of " + context.device().name());
  }

  Tensor sum(Tensor x) {
    throw new UnsupportedOperationException("sum of " + context.device().name());
  }

  Tensor logSumExp(Tensor x) {
    throw new UnsupportedOperationException("logSumExp of " + context.device().name());
  }

  Tensor rowDots(Tensor a, Tensor b) {
    throw new UnsupportedOperationException("rowDots of " + context.device().name());
  }
}
