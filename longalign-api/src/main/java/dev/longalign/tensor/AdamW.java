package dev.longalign.tensor;

import dev.longalign.LongAlignException;
import java.util.Collection;

/**
 * One step of AdamW.
 *
 * @param learningRate of this step
 * @param beta1 decay of the first moment
 * @param beta2 decay of the second moment
 * @param eps added to the root of the second moment
 * @param weightDecay decoupled, times the learning rate
 * @param step counts from 1
 * @param gradientScale every gradient is multiplied by it first: see {@link #clipScale}
 */
public record AdamW(
    double learningRate,
    double beta1,
    double beta2,
    double eps,
    double weightDecay,
    long step,
    float gradientScale) {

  /**
   * @throws LongAlignException if a value is out of range
   */
  public AdamW {
    require(learningRate >= 0, "learning rate", learningRate);
    require(beta1 >= 0 && beta1 < 1, "beta1", beta1);
    require(beta2 >= 0 && beta2 < 1, "beta2", beta2);
    require(eps >= 0, "eps", eps);
    require(weightDecay >= 0, "weight decay", weightDecay);
    require(step >= 1, "step (counts from 1)", step);
  }

  private static void require(boolean condition, String what, Object found) {
    if (!condition) {
      throw new LongAlignException("AdamW: " + what + " " + found + " is out of range");
    }
  }

  /** The l2 norm of several tensors of one backend taken together. */
  public static double norm(Collection<Tensor> gradients) {
    return gradients.isEmpty()
        ? 0
        : Math.sqrt(gradients.iterator().next().backend().training().sumOfSquares(gradients));
  }

  /** What torch's clip_grad_norm_ multiplies gradients of that norm by; at most 1. */
  public static float clipScale(double norm, double maxNorm) {
    return (float) Math.min(1, maxNorm / (norm + 1e-6));
  }

  /** Runs the step on one parameter and its moments, in place. */
  public void step(Tensor parameter, Tensor gradient, Tensor first, Tensor second) {
    for (Tensor x : new Tensor[] {parameter, gradient, first, second}) {
      if (x.dtype() != DType.F32 || x.shape().size() != parameter.shape().size()) {
        throw new LongAlignException("AdamW: expected F32 " + parameter.shape() + ", found " + x);
      }
    }
    parameter.backend().training().adamW(this, parameter, gradient, first, second);
  }
}
