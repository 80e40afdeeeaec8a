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
    if (channels == contextChannels) {
      Linear.placeTogether(weights, toQ, toK, toV);
    } else {
      Linear.placeTogether(weights, toK, toV);
    }
  }

  /** Keys and values of a context, each [B, S, channels]. */
  public record KeyValue(Tensor key, Tensor value) {}

  /**
   * What {@link #forward} needs of a context; for a context that stays the same this is computed
   * once.
   */
  public KeyValue prepare(Tensor context) { // [B, S, contextChannels]
    Tensor[] both = Linear.together(context, toK, toV);
    return new KeyValue(both[0], both[1]);
  }

  /** The queries of x, for inspection. */
  public Tensor queries(Tensor x) {
    return toQ.forward(x);
  }

  /** Attention of x to itself, plus the residual unless it is null. */
  public Tensor forward(Tensor x, Tensor residual) { // [B, L, C] -> [B, L, C]
    try (TensorScope scope = TensorScope.open()) {
      Tensor[] qkv = Linear.together(x, toQ, toK, toV); // [B, L, C] each
      return scope.keep(attend(qkv[0], new KeyValue(qkv[1], qkv[2]), residual));
    }
  }

  /** Attention of x to a prepared context, plus the residual unless it is null. */
  public Tensor forward(Tensor x, KeyValue context, Tensor residual) { // [B, L, C] -> [B, L, C]
    try (TensorScope scope = TensorScope.open()) {
      return scope.keep(attend(toQ.forward(x), context, residual));
    }
  }

  private Tensor attend(Tensor q, KeyValue context, Tensor residual) {
    Tensor h = q.attention(context.key(), context.value(), heads, scale); // [B, L, C]
    return toOut.forward(h, residual);
  }
}
