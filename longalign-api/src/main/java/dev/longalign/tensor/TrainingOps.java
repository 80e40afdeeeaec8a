package dev.longalign.tensor;

import java.util.Collection;

/**
 * What a {@link Backend} computes for training only: operations with parameters that change (they
 * are plain tensors, not packed), what losses are made of, and the optimizer. {@link Tensor} checks
 * shapes before it calls.
 *
 * <p>Activations are of any floating type that the backend supports; parameters, their gradients
 * and moments are f32.
 */
public interface TrainingOps {

  // ---- with parameters

  /**
   * {@code x W^T + bias}, computed in the type of x: {@code [..., in] -> [..., out]}.
   *
   * @param weight f32 [out, in]
   * @param bias f32 [out], or null
   */
  Tensor linear(Tensor x, Tensor weight, Tensor bias);

  /**
   * Without bias, computed in the type of x: {@code [B, H, W, in] -> [B, H', W', out]}.
   *
   * @param weight f32 [out, in, kh, kw]
   */
  Tensor conv2d(Tensor x, Tensor weight, Conv2dGeometry geometry);

  /**
   * {@link Backend#attention} of a sequence to itself, where a position sees itself and those
   * before it: all [B, L, H*d].
   */
  Tensor causalAttention(Tensor q, Tensor k, Tensor v, int heads, float scale);

  // ---- pointwise

  /** {@code a * b}, element by element; one shape and type. */
  Tensor multiply(Tensor a, Tensor b);

  /**
   * {@code x / (1 - p)} where {@link Dropout#keeps} says so, 0 elsewhere; the same key gives the
   * same mask.
   */
  Tensor dropout(Tensor x, float p, long key);

  /** {@code sqrt(x^2 + c^2) - c}, the pseudo-Huber loss of a difference. */
  Tensor pseudoHuber(Tensor x, float c);

  /** {@code x / |x|} along the last axis. */
  Tensor normalizeRows(Tensor x);

  /** {@code exp(logScale) x}; logScale is an f32 scalar. */
  Tensor scaleExp(Tensor x, Tensor logScale);

  // ---- shape and sums

  /** A copy of {@code [from, to)} along an axis. */
  Tensor slice(Tensor x, int axis, long from, long to);

  /**
   * Rows by their numbers, of which one may occur often: {@code [N, ...] -> [rows.length, ...]}.
   */
  Tensor gatherRows(Tensor x, int[] rows);

  /** The sum of all elements: an f32 scalar, shape []. */
  Tensor sum(Tensor x);

  /** {@code log(sum(exp(x)))} along the last axis: {@code [..., C] -> [...]} in f32. */
  Tensor logSumExp(Tensor x);

  /** Dot products of rows: {@code [..., C] . [..., C] -> [...]} in f32. */
  Tensor rowDots(Tensor a, Tensor b);

  // ---- in place, on f32 tensors

  /** {@code into += factor * x}; x may be of another type. */
  void accumulate(Tensor into, float factor, Tensor x);

  /** Exchanges the values of two tensors of one shape, bit for bit. */
  default void swap(Tensor a, Tensor b) {
    try (TensorScope scope = TensorScope.open()) {
      Tensor copy = a.scale(1);
      accumulate(a, -1, a);
      accumulate(a, 1, b);
      accumulate(b, -1, b);
      accumulate(b, 1, copy);
    }
  }

  /**
   * A step of an exponential moving average: {@code average = decay * average + (1 - decay) * x}.
   *
   * @param decay in [0, 1]
   */
  default void average(Tensor average, double decay, Tensor x) {
    accumulate(average, (float) (decay - 1), average);
    accumulate(average, (float) (1 - decay), x);
  }

  /** The sum of the squares of all elements, in double precision and in a fixed order. */
  double sumOfSquares(Tensor x);

  /** The same of several tensors together, so that a device need be waited for only once. */
  default double sumOfSquares(Collection<Tensor> xs) {
    double sum = 0;
    for (Tensor x : xs) {
      sum += sumOfSquares(x);
    }
    return sum;
  }

  /**
   * One step of AdamW (Loshchilov and Hutter 2019) as torch does it; {@code parameter}, {@code
   * firstMoment} and {@code secondMoment} change.
   */
  void adamW(
      AdamW settings, Tensor parameter, Tensor gradient, Tensor firstMoment, Tensor secondMoment);
}
