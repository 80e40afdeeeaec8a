package dev.longalign.model;

import dev.longalign.autograd.Checkpoint;
import dev.longalign.nn.CrossAttention;
import dev.longalign.nn.FeedForward;
import dev.longalign.nn.LayerNorm;
import dev.longalign.nn.Weights;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;

/**
 * Attention to the picture itself, attention to the text, feed-forward; each pre-normed and added.
 * Reference: diffusers {@code models/attention.py}, {@code BasicTransformerBlock}.
 */
final class TransformerBlock {
  final LayerNorm norm1;
  final CrossAttention attn1;
  final LayerNorm norm2;
  final CrossAttention attn2;
  final LayerNorm norm3;
  final FeedForward ff;

  TransformerBlock(Weights weights, int channels, int contextChannels, int heads) {
    norm1 = new LayerNorm(weights.at("norm1"), channels);
    attn1 = new CrossAttention(weights.at("attn1"), channels, channels, heads, false);
    norm2 = new LayerNorm(weights.at("norm2"), channels);
    attn2 = new CrossAttention(weights.at("attn2"), channels, contextChannels, heads, false);
    norm3 = new LayerNorm(weights.at("norm3"), channels);
    ff = new FeedForward(weights.at("ff"), channels, channels);
  }

  Tensor forward(Tensor x, PreparedContext context) { // [B, L, C] -> [B, L, C]
    CrossAttention.KeyValue text = context.of(attn2);
    return Checkpoint.run(
        in -> block(in[0], new CrossAttention.KeyValue(in[1], in[2])), x, text.key(), text.value());
  }

  private Tensor block(Tensor x, CrossAttention.KeyValue text) {
    try (TensorScope scope = TensorScope.open()) {
      Tensor h = attn1.forward(norm1.forward(x), x); // [B, L, C]
      h = attn2.forward(norm2.forward(h), text, h); // [B, L, C]
      return scope.keep(ff.forward(norm3.forward(h), h)); // [B, L, C]
    }
  }
}
