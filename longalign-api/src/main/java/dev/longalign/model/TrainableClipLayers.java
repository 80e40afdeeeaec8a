package dev.longalign.model;

import dev.longalign.LongAlignException;
import dev.longalign.autograd.Checkpoint;
import dev.longalign.tensor.Activation;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.function.Function;

/**
 * The pre-norm transformer layers of one of CLIP's towers, in training.
 *
 * @param tower {@code text_model} or {@code vision_model}
 * @param layers number of layers
 * @param heads of the attention
 * @param epsilon of the layer norms
 * @param activation transformers' name of the MLP's nonlinearity
 * @param causal whether a position sees itself and those before it only
 * @param value a parameter's value by its full name
 */
record TrainableClipLayers(
    String tower,
    int layers,
    int heads,
    float epsilon,
    String activation,
    boolean causal,
    Function<String, Tensor> value) {
  private static final float QUICK = 1.702f;

  /**
   * Refuses a nonlinearity that has no derivative here.
   *
   * @param source names the config in the message
   */
  TrainableClipLayers checked(String source) {
    switch (activation) {
      case "quick_gelu", "gelu", "silu", "swish" -> {}
      default ->
          throw new LongAlignException(
              source
                  + ": hidden_act of "
                  + tower
                  + ": expected quick_gelu, gelu or silu for training, found "
                  + activation);
    }
    return this;
  }

  Tensor forward(Tensor x) { // [B, L, width] -> [B, L, width]
    Tensor h = x;
    for (int i = 0; i < layers; i++) {
      String layer = tower + ".encoder.layers." + i;
      h = Checkpoint.run(in -> layer(layer, in[0]), h);
    }
    return h;
  }

  private Tensor layer(String name, Tensor x) {
    try (TensorScope scope = TensorScope.open()) {
      Tensor h = norm(name + ".layer_norm1", x); // [B, L, width]
      Tensor q = linear(name + ".self_attn.q_proj", h);
      Tensor k = linear(name + ".self_attn.k_proj", h);
      Tensor v = linear(name + ".self_attn.v_proj", h);
      float scale = (float) (1 / Math.sqrt((double) x.dim(2) / heads));
      h = causal ? q.causalAttention(k, v, heads, scale) : q.attention(k, v, heads, scale);
      Tensor y = x.add(linear(name + ".self_attn.out_proj", h));

      h = linear(name + ".mlp.fc1", norm(name + ".layer_norm2", y)); // [B, L, feedForward]
      h = linear(name + ".mlp.fc2", activated(h)); // [B, L, width]
      return scope.keep(y.add(h));
    }
  }

  private Tensor activated(Tensor x) {
    return switch (activation) {
      case "gelu" -> x.activation(Activation.GELU);
      case "quick_gelu" -> // x sigmoid(1.702 x)
          x.scale(QUICK).activation(Activation.SILU).scale(1 / QUICK);
      default -> x.activation(Activation.SILU);
    };
  }

  /** Layer norm over the last axis; the name is the module's. */
  Tensor norm(String name, Tensor x) {
    return x.layerNorm(value.apply(name + ".weight"), value.apply(name + ".bias"), epsilon);
  }

  private Tensor linear(String name, Tensor x) {
    return x.linear(value.apply(name + ".weight"), value.apply(name + ".bias"));
  }
}
