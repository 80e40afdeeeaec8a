package dev.longalign.autograd;

import dev.longalign.tensor.Tensor;

/** How a gradient goes back through one operation; all tensors are of the wrapped backend. */
@FunctionalInterface
interface Derivative {

  /**
   * @param dy with respect to the result, of its shape
   * @param wanted for which inputs a gradient is wanted; never none of them
   * @param saved the values that were kept for this
   * @return for every input the gradient, a new tensor or (a view of) dy, null where not wanted
   */
  Tensor[] apply(Tensor dy, boolean[] wanted, Tensor[] saved);
}
