package dev.longalign.tensor;

import dev.longalign.LongAlignException;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.function.Supplier;

/**
 * What a device can do. Each operation is declared once, here; {@link Tensor} checks shapes before
 * it calls, so an implementation may rely on them. Activations are NHWC ([B, H, W, C]) or [B, L,
 * C], contiguous.
 *
 * <p>Implementations are thread-safe. Results are registered with the calling thread's {@link
 * TensorScope}. Operations on BF16 or F16 tensors accumulate in f32.
 */
public interface Backend extends AutoCloseable {

  /** For messages, for example {@code cpu (oneDNN 3.11, 2 threads)}. */
  String name();

  /** Whether tensors of this type can take part in computation. */
  boolean supports(DType dtype);

  MemoryUse memory();

  /** Starts the peak of {@link #memory()} anew, from what is live now. */
  void resetPeakMemory();

  /**
   * From now on an operation that would make the memory of {@link #memory()}, live and cached,
   * exceed so many bytes is refused with a {@link LongAlignException}; nothing is lost by that but
   * the operation.
   *
   * @param bytes 0: no limit
   * @throws LongAlignException if this backend knows no limit
   */
  default void limitMemory(long bytes) {
    if (bytes != 0) {
      throw new LongAlignException(
          name() + " has no limit of memory but the device's; leave maxMemory at 0");
    }
  }

  /** Bytes that operations may still take, as far as is known; else {@link Long#MAX_VALUE}. */
  default long freeMemory() {
    return Long.MAX_VALUE;
  }

  /**
   * Runs work that may take what is free and no more: where it needs more it ends with an {@link
   * OutOfMemoryException}, even if the system would hand out memory that it does not have.
   */
  default <T> T withinFreeMemory(Supplier<T> work) {
    return work.get();
  }

  /**
   * Waits until everything asked for so far has been computed, for measuring. A backend whose
   * operations return when they are done has nothing to wait for.
   */
  default void synchronize() {}

  /** What each operation has cost since the backend was opened, by the operation's name. */
  Map<String, OperationCost> costs();

  /**
   * Runs the products and convolutions that have been run so far again, bare: no epilogue, nothing
   * in between. What they reach is the roof for anything built on them, in GFLOP/s; NaN if none has
   * been run.
   */
  double roofGflops();

  /**
   * Prepares a function that will run many times on operands of the same shapes, so that a backend
   * may record what it enqueues and launch that as a whole. The results are those of the function.
   *
   * @param body computes one tensor from its operands and from tensors that live as long as the
   *     result of this method; uploads and downloads nothing, does the same on each call but for
   *     the operands' values, and keeps nothing but what it returns
   * @return registered with the calling thread's scope; its results belong to the scope of each
   *     call
   */
  default TensorFunction repeated(TensorFunction body) {
    return body;
  }

  // ---- memory
  // -------------------------------------------------------------------------------------------------

  /** A copy of the elements, which are little-endian and of type {@code dtype}. */
  Tensor upload(ByteBuffer elements, DType dtype, Shape shape);

  /** All elements as f32, in order. */
  void download(Tensor x, float[] into);

  Tensor zeros(DType dtype, Shape shape);

  /** The same values in another type. */
  Tensor cast(Tensor x, DType dtype);

  // ---- weights
  // ------------------------------------------------------------------------------------------------

  /**
   * Packs weight [out, in] and bias [out] (or null) for {@link #linear}, computing in {@code
   * dtype}.
   */
  LinearWeight packLinear(Tensor weight, Tensor bias, DType dtype);

  /**
   * Packs weight [2 * inner, in] and bias [2 * inner] (or null) for {@link #geglu}; outFeatures is
   * {@code inner}.
   */
  LinearWeight packGeglu(Tensor weight, Tensor bias, DType dtype);

  /**
   * Says that these weights will mostly be used by {@link #linears} together; a backend may keep
   * them where that is faster. They stay weights of their own.
   */
  default void placeTogether(LinearWeight... weights) {}

  /** Packs weight [out, in, kh, kw] and bias [out] (or null) for {@link #conv2d}. */
  Conv2dWeight packConv2d(Tensor weight, Tensor bias, Conv2dGeometry geometry, DType dtype);

  // ---- matrix products and convolutions
  // -----------------------------------------------------------------------

  /** {@code [..., in] -> [..., out]}. */
  Tensor linear(Tensor x, LinearWeight weight, Epilogue epilogue);

  /** {@link #linear} of the same input by each weight, in their order. */
  default Tensor[] linears(Tensor x, LinearWeight... weights) {
    Tensor[] results = new Tensor[weights.length];
    for (int i = 0; i < weights.length; i++) {
      results[i] = linear(x, weights[i], Epilogue.NONE);
    }
    return results;
  }

  /**
   * {@code hidden * gelu(gate)} where {@code [hidden, gate] = W x + b}: {@code [..., in] -> [...,
   * inner]}.
   */
  Tensor geglu(Tensor x, LinearWeight packedGeglu);

  /** {@code [B, H, W, in] -> [B, H', W', out]}. */
  Tensor conv2d(Tensor x, Conv2dWeight weight, Epilogue epilogue);

  /**
   * {@code a b}, or {@code a b^T}: {@code [..., M, K] x [..., K, N] -> [..., M, N]}, equal leading
   * axes.
   */
  Tensor matmul(Tensor a, Tensor b, boolean transposeB);

  /**
   * Multi-head attention, {@code softmax(scale q k^T) v} per head: {@code [B, L, H*d] x [B, S, H*d]
   * -> [B, L, H*d]}.
   */
  Tensor attention(Tensor q, Tensor k, Tensor v, int heads, float scale);

  // ---- normalisation and pointwise
  // ----------------------------------------------------------------------------

  /**
   * Group normalisation over the channels of [B, ..., C], then the activation. gamma and beta are
   * f32 [C].
   */
  Tensor groupNorm(
      Tensor x, int groups, Tensor gamma, Tensor beta, float eps, Activation activation);

  /** Normalisation over the last axis; gamma and beta are f32 [C]. */
  Tensor layerNorm(Tensor x, Tensor gamma, Tensor beta, float eps);

  Tensor activation(Tensor x, Activation activation);

  /** {@code x[..., :n] * gelu(x[..., n:])}: {@code [..., 2n] -> [..., n]}. */
  Tensor gatedGelu(Tensor x);

  /**
   * {@code sum_i coefficients[i] * xs[i]}, all of one shape and type: scheduler steps, guidance,
   * residuals.
   */
  Tensor linearCombination(float[] coefficients, Tensor... xs);

  /** Limits every element to [low, high]. */
  Tensor clamp(Tensor x, float low, float high);

  // ---- shape
  // --------------------------------------------------------------------------------------------------

  /** A view: the same memory under another shape of equal size. */
  Tensor reshape(Tensor x, Shape shape);

  /** A view of {@code [from, to)} along the first axis. */
  Tensor rows(Tensor x, long from, long to);

  Tensor concat(int axis, Tensor... xs);

  /**
   * Nearest-neighbour resize of [B, H, W, C] as torch does it: source index = floor(i * in / out).
   */
  Tensor upsampleNearest(Tensor x, int height, int width);

  /**
   * {@link #conv2d} of {@link #upsampleNearest}; a backend may read the small picture several times
   * instead of making the large one.
   */
  default Tensor upsampleConv2d(Tensor x, int height, int width, Conv2dWeight weight) {
    try (TensorScope scope = TensorScope.open()) {
      return scope.keep(conv2d(upsampleNearest(x, height, width), weight, Epilogue.NONE));
    }
  }

  // ---- this library's own
  // -------------------------------------------------------------------------------------

  /**
   * Segment-embedding concatenation (SPEC of LongAlign, CLIP side): of the encoded segments [S, L,
   * D] keep, caption by caption, the tokens whose id is neither {@code padId} nor {@code eosId}, in
   * order; cut at {@code tokenLength}, fill up with {@code padEmbedding} [D].
   *
   * @param ids token ids [S][L]
   * @param segmentsPerCaption sums to S
   * @return [captions, tokenLength, D]
   */
  Tensor segmentConcat(
      Tensor hidden,
      int[][] ids,
      int[] segmentsPerCaption,
      int eosId,
      int padId,
      Tensor padEmbedding,
      int tokenLength);

  /**
   * Takes from text features T [N, D] most of what they have in common (LongAlign, section 3.3):
   *
   * <pre>
   * V    = sum_i T_i / |sum_i T_i|
   * eta_i = &lt;T_i, V&gt;
   * T'_i = T_i - (1 - omega) eta_i V
   * </pre>
   *
   * T' is not normalised again. Where the texts sum to zero there is no V, and all is NaN.
   *
   * @param direction V, f32 [D], if it is known from more texts; null takes that of these
   * @param omega how much of the common part stays, in [0, 1]
   */
  ReweightedTexts reweight(Tensor texts, Tensor direction, float omega);

  /**
   * The scores of pictures I with one text T' each, both [N, D] and of one type, and the gradient
   * of their sum: the text, less what of it lies along the picture (LongAlign, section 3.3; texts
   * get no gradient).
   *
   * <pre>
   * s_i = &lt;T'_i, I_i&gt; / |I_i|
   * d s_i / d I_i = (T'_i - s_i I_i / |I_i|) / |I_i|
   * </pre>
   */
  PreferenceGradient preferenceGradient(Tensor texts, Tensor images);

  // ---- training
  // -----------------------------------------------------------------------------------------------

  /**
   * What is computed for training only.
   *
   * @throws LongAlignException if this backend does not train
   */
  default TrainingOps training() {
    throw new LongAlignException(name() + " does not train; train on the CPU: Device.cpu()");
  }

  /**
   * The derivatives of the operations.
   *
   * @throws LongAlignException if this backend has none
   */
  default GradientOps gradients() {
    throw new LongAlignException(name() + " has no gradients; train on the CPU: Device.cpu()");
  }

  /** Frees everything, including cached memory. Scopes must have been closed. */
  @Override
  void close();
}
