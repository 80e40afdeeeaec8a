package dev.longalign.nn;

import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;

/** GEGLU to four times the width of the input, then down: {@code net.0.proj}, {@code net.2}. */
public final class FeedForward {
  private static final int MULTIPLE = 4;

  private final Geglu geglu;
  private final Linear out;

  public FeedForward(Weights weights, int in, int out) {
    this.geglu = new Geglu(weights.at("net.0"), in, MULTIPLE * in);
    this.out = new Linear(weights.at("net.2"), MULTIPLE * in, out, true);
  }

  /** The first half, for inspection. */
  public Geglu geglu() {
    return geglu;
  }

  public Tensor forward(Tensor x) { // [..., in] -> [..., out]
    return forward(x, null);
  }

  /** Plus {@code residual} [..., out], unless it is null. */
  public Tensor forward(Tensor x, Tensor residual) {
    try (TensorScope scope = TensorScope.open()) {
      return scope.keep(out.forward(geglu.forward(x), residual));
    }
  }
}
