package dev.longalign.tensor;

/**
 * The derivatives of a backend's operations: each gets the operation's inputs and {@code dy}, the
 * gradient with respect to its result, and returns gradients with respect to its inputs. Called by
 * {@code dev.longalign.autograd}, which passes shapes that were checked in the forward pass.
 *
 * <p>Gradients of activations have the type of the activation; gradients of parameters are f32.
 */
public interface GradientOps {

  // ---- matrix products and convolutions

  /** {@code dy W}: {@code [..., out] -> [..., in]}. */
  Tensor linearInput(Tensor dy, LinearWeight weight);

  /** Of {@link Backend#geglu} with respect to x. */
  Tensor geglu(Tensor x, LinearWeight packedGeglu, Tensor dy);

  /** With respect to the input of a convolution, which is of shape {@code x}. */
  Tensor conv2dInput(Tensor dy, Conv2dWeight weight, Shape x);

  /** The same for an f32 weight [out, in, kh, kw] that is not packed. */
  Tensor conv2dInput(Tensor dy, Tensor weight, Conv2dGeometry geometry, Shape x);

  /** With respect to the weight: f32 [out, in, kh, kw]. */
  Tensor conv2dWeight(Tensor x, Tensor dy, Conv2dGeometry geometry);

  /** {@code a^T b}: {@code [..., K, M] x [..., K, N] -> [..., M, N]} of type {@code dtype}. */
  Tensor matmulTransposedA(Tensor a, Tensor b, DType dtype);

  /**
   * Of {@link Backend#attention}; scores are computed again, block by block.
   *
   * @param wanted whether the gradients of q, k and v are wanted
   * @return those gradients, null where not wanted
   */
  Tensor[] attention(
      Tensor q, Tensor k, Tensor v, int heads, float scale, Tensor dy, boolean[] wanted);

  /** Of {@link TrainingOps#causalAttention}; as {@link #attention}. */
  Tensor[] causalAttention(
      Tensor q, Tensor k, Tensor v, int heads, float scale, Tensor dy, boolean[] wanted);

  // ---- normalisation

  /**
   * Of {@link Backend#groupNorm}.
   *
   * @param wanted whether the gradients of x, gamma and beta are wanted
   * @return those gradients, null where not wanted
   */
  Tensor[] groupNorm(
      Tensor x,
      int groups,
      Tensor gamma,
      Tensor beta,
      float eps,
      Activation activation,
      Tensor dy,
      boolean[] wanted);

  /** Of {@link Backend#layerNorm}; wanted and result as for {@link #groupNorm}. */
  Tensor[] layerNorm(Tensor x, Tensor gamma, float eps, Tensor dy, boolean[] wanted);

  /** Of {@link TrainingOps#normalizeRows}. */
  Tensor normalizeRows(Tensor x, Tensor dy);

  // ---- pointwise

  Tensor activation(Tensor x, Activation activation, Tensor dy);

  /** Of {@link Backend#gatedGelu}: {@code [..., n] -> [..., 2n]}. */
  Tensor gatedGelu(Tensor x, Tensor dy);

  /** dy where {@code low <= x <= high}, else 0. */
  Tensor clamp(Tensor x, float low, float high, Tensor dy);

  /** Of {@link TrainingOps#pseudoHuber}. */
  Tensor pseudoHuber(Tensor x, float c, Tensor dy);

  // ---- sums and their opposites

  /**
   * Sums over everything but the last axis, within {@code groups} equal parts of the first: {@code
   * [groups * n, ..., C] -> [groups, C]} in f32.
   */
  Tensor columnSums(Tensor x, int groups);

  /** {@code factors[...] * x[..., :]} with one f32 factor per row, in the type of x. */
  Tensor scaleRows(Tensor x, Tensor factors);

  /**
   * Of {@link TrainingOps#gatherRows}, with respect to a tensor with {@code count} rows: sums over
   * the places that a row went to.
   */
  Tensor scatterRows(Tensor dy, int[] rows, long count);

  /** Of {@link TrainingOps#logSumExp}: dy, one f32 a row, times the row's softmax. */
  Tensor logSumExp(Tensor x, Tensor dy);

  /** A tensor filled with the one element of {@code scalar}. */
  Tensor expand(Tensor scalar, DType dtype, Shape shape);

  /** Of {@link Backend#upsampleNearest}: sums over the copies of a pixel. */
  Tensor upsampleNearest(Tensor dy, int height, int width);
}
