package dev.longalign.training;

import dev.longalign.autograd.AutogradBackend;
import dev.longalign.autograd.Gradients;
import dev.longalign.tensor.Tensor;

/**
 * The loss of a micro-batch and where its gradient starts. For a loss that is computed on the tape
 * both are the same scalar; a score from a model of another runtime comes with the gradient of the
 * picture.
 *
 * @param value the number
 * @param result what variables lead to
 * @param gradient of the loss with respect to {@code result}; null means 1 for a scalar
 */
public record Loss(double value, Tensor result, Tensor gradient) {

  /** A scalar that was computed on the tape. */
  public static Loss of(Tensor scalar) {
    return new Loss(scalar.toFloats()[0], scalar, null);
  }

  /**
   * The gradients of {@code scale} times the loss, with respect to all variables that led to it.
   */
  public Gradients backward(AutogradBackend autograd, float scale) {
    return gradient == null
        ? autograd.backward(scale == 1 ? result : result.scale(scale))
        : autograd.backward(result, scale == 1 ? gradient : gradient.scale(scale));
  }
}
