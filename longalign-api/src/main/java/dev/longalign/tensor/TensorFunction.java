package dev.longalign.tensor;

/** One tensor from others. */
@FunctionalInterface
public interface TensorFunction {
  /** The result belongs to the scope that is open at the call. */
  Tensor apply(Tensor... operands);
}
