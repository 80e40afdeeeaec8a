package dev.longalign.nn;

import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;

/**
 * Multi-head attention of a sequence to a context, or to itself; heads are contiguous groups of
 * channels.
 */
public final class CrossAttention {
  private final int heads;
  private final float scale;
  private final Linear toQ;
  private final Linear toK;
  private final Linear toV;
  private final Linear toOut;

  /**
   * @param channels of the queries and of the result
   * @param contextChannels of what is attended to
   * @param qkvBias whether the three projections have a bias (the VAE's do, the UNet's do not)
   */
  public CrossAttention(
      Weights weights, int channels, int contextChannels, int heads, boolean qkvBias) {
    Weights target = weights.loraTarget();
    this.heads = heads;
    this.scale = (float) (1 / Math.sqrt((double) channels / heads));
    this.toQ = new Linear(target.at("to_q"), channels, channels, qkvBias);
    this.toK = new Linear(target.at("to_k"), contextChannels, channels, qkvBias);
    this.toV = new Linear(target.at("to_v"), contextChannels, channels, qkvBias);
    this.toOut = new Linear(target.at("to_out.0"), channels, channels, true);
  }

  /** Keys and values of a context, each [B, S, channels]. */
  public record KeyValue(Tensor key, Tensor value) {}

  /**
   * What {@link #forward} needs of a context; for a context that stays the same this is computed
   * once.
   */
  public KeyValue prepare(Tensor context) { // [B, S, contextChannels]
    return new KeyValue(toK.forward(context), toV.forward(context));
  }

  /** The queries of x, for inspection. */
  public Tensor queries(Tensor x) {
    return toQ.forward(x);
  }

  /** Attention of x to itself, plus the residual unless it is null. */
  public Tensor forward(Tensor x, Tensor residual) { // [B, L, C] -> [B, L, C]
    try (TensorScope scope = TensorScope.open()) {
      return scope.keep(forward(x, prepare(x), residual));
    }
  }

  /** Attention of x to a prepared context, plus the residual unless it is null. */
  public Tensor forward(Tensor x, KeyValue context, Tensor residual) { // [B, L, C] -> [B, L, C]
    try (TensorScope scope = TensorScope.open()) {
      Tensor q = toQ.forward(x); // [B, L, C]
      Tensor h = q.attention(context.key(), context.value(), heads, scale); // [B, L, C]
      return scope.keep(toOut.forward(h, residual));
    }
  }
}
