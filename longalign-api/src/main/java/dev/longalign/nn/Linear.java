package dev.longalign.nn;

import dev.longalign.tensor.Activation;
import dev.longalign.tensor.Epilogue;
import dev.longalign.tensor.LinearWeight;
import dev.longalign.tensor.Tensor;
import java.util.Arrays;

/** {@code y = W x + b} over the last axis; over NHWC pictures this is a 1x1 convolution. */
public final class Linear {
  private final Weights.Packed<LinearWeight> packed;

  /** A layer stored as {@code weight} [out, in] and, with {@code bias}, {@code bias} [out]. */
  public Linear(Weights weights, int in, int out, boolean bias) {
    this(weights.linear(in, out, bias));
  }

  private Linear(Weights.Packed<LinearWeight> packed) {
    this.packed = packed;
  }

  /** A layer stored as a 1x1 convolution, {@code weight} [out, in, 1, 1]. */
  public static Linear pointwise(Weights weights, int in, int out) {
    return new Linear(weights.pointwise(in, out));
  }

  /** Prepares layers of one shape, most often applied to the same input, for {@link #together}. */
  static void placeTogether(Weights weights, Linear... layers) {
    LinearWeight[] packed = weights(layers);
    if (packed != null) {
      weights.placeTogether(packed);
    }
  }

  /** Several layers of the same input: {@code [..., in] -> [..., out]} each. */
  static Tensor[] together(Tensor x, Linear... layers) {
    LinearWeight[] weights = weights(layers);
    return weights == null
        ? Arrays.stream(layers).map(layer -> layer.forward(x)).toArray(Tensor[]::new)
        : x.linears(weights);
  }

  /** Null if something runs beside one of the layers. */
  private static LinearWeight[] weights(Linear... layers) {
    boolean plain = Arrays.stream(layers).allMatch(layer -> layer.packed.branch() == null);
    return plain
        ? Arrays.stream(layers).map(layer -> layer.packed.weight()).toArray(LinearWeight[]::new)
        : null;
  }

  public Tensor forward(Tensor x) { // [..., in] -> [..., out]
    return forward(x, Epilogue.NONE);
  }

  /** With activation, channel bias and residual fused. */
  public Tensor forward(Tensor x, Epilogue epilogue) {
    if (packed.branch() == null) {
      return x.linear(packed.weight(), epilogue);
    }
    return Branching.forward(packed.branch(), x, epilogue, e -> x.linear(packed.weight(), e));
  }

  /** {@code W x + b + residual}. */
  public Tensor forward(Tensor x, Tensor residual) {
    return forward(x, new Epilogue(Activation.NONE, null, residual));
  }
}
