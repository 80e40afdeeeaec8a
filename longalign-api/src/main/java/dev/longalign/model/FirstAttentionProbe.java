package dev.longalign.model;

import dev.longalign.nn.CrossAttention;
import dev.longalign.tensor.Activation;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What the layers of a UNet's first residual block and first transformer compute on the way down,
 * for comparing layer by layer with another implementation. Runs the UNet once, then those layers
 * one by one.
 */
public final class FirstAttentionProbe {
  private final UNet2DCondition unet;
  private final Map<String, Tensor> seen = new LinkedHashMap<>();
  private int heads;

  private FirstAttentionProbe(UNet2DCondition unet) {
    this.unet = unet;
  }

  /**
   * @param heads of the attentions
   * @param values by short names: {@code time_embedding}, {@code conv_in}, {@code resnet0}, {@code
   *     attn1_q}, {@code attn1_k}, {@code attn1_v}, {@code attn1_out}, the same of {@code attn2},
   *     {@code geglu}, {@code ff_out} (both before the residual), {@code transformer0}, {@code
   *     down_block_0}, ..., {@code mid_block}, {@code up_block_0}, ..., {@code conv_norm_out}
   *     (before SiLU), {@code output}; NHWC or [B, L, C], registered with the caller's scope
   */
  public record Activations(int heads, Map<String, Tensor> values) {}

  /** For latents [B, H, W, inChannels] with a timestep and a context for each. */
  public static Activations of(
      UNet2DCondition unet, Tensor latents, float[] timesteps, PreparedContext context) {
    try (TensorScope scope = TensorScope.open()) {
      FirstAttentionProbe probe = new FirstAttentionProbe(unet);
      probe.run(scope, latents, timesteps, context);
      Map<String, Tensor> kept = new HashMap<>();
      probe.seen.forEach((name, tensor) -> kept.put(name, scope.keep(tensor)));
      return new Activations(probe.heads, kept);
    }
  }

  private void run(TensorScope scope, Tensor latents, float[] timesteps, PreparedContext context) {
    Tensor output =
        unet.forward(
            latents,
            timesteps,
            context,
            (module, value) -> seen.put(shortName(module), scope.adopt(value)));
    seen.put("output", output);
    String last = "up_block_" + (unet.upBlocks.size() - 1);
    seen.put("conv_norm_out", unet.convNormOut.withoutActivation(seen.get(last)));

    Tensor time = seen.get("time_embedding").activation(Activation.SILU);
    Deque<Tensor> skips = new ArrayDeque<>(List.of(seen.get("conv_in")));
    for (int i = 0; i < unet.downBlocks.size(); i++) {
      UNetBlock block = unet.downBlocks.get(i);
      if (i == 0) {
        seen.put("resnet0", block.resnets.get(0).forward(skips.peek(), time));
      }
      if (!block.attentions.isEmpty()) {
        heads = unet.config().levels().get(i).heads();
        Tensor x = block.resnets.get(0).forward(skips.peek(), time);
        transformer(block.attentions.get(0), x, context);
        return;
      }
      block.forwardDown(skips.peek(), time, context, skips);
    }
  }

  private void transformer(Transformer2D transformer, Tensor input, PreparedContext context) {
    TransformerBlock block = transformer.blocks.get(0);
    Tensor projected = transformer.projIn.forward(transformer.norm.forward(input));
    long pixels = (long) input.dim(1) * input.dim(2);
    Tensor x = projected.reshape(input.dim(0), pixels, projected.dim(3)); // [B, HW, C]
    Tensor normed = block.norm1.forward(x);
    x = attention("attn1", block.attn1, x, normed, block.attn1.prepare(normed));
    normed = block.norm2.forward(x);
    x = attention("attn2", block.attn2, x, normed, context.of(block.attn2));
    normed = block.norm3.forward(x);
    seen.put("geglu", block.ff.geglu().forward(normed));
    seen.put("ff_out", block.ff.forward(normed));
    seen.put("transformer0", transformer.forward(input, context));
  }

  private Tensor attention(
      String name, CrossAttention layer, Tensor x, Tensor normed, CrossAttention.KeyValue context) {
    Tensor out = layer.forward(normed, context, null);
    seen.put(name + "_q", layer.queries(normed));
    seen.put(name + "_k", context.key());
    seen.put(name + "_v", context.value());
    seen.put(name + "_out", out);
    return x.add(out);
  }

  private static String shortName(String module) {
    return module.replaceAll("blocks\\.", "block_");
  }
}
