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

      h = mlp(name + ".mlp", norm(name + ".layer_norm2", y)); // [B, L, width]
      return scope.keep(y.add(h));
    }
  }

  /** {@code fc2(act(fc1 x))}, [B, L, feedForward] in between. */
  private Tensor mlp(String name, Tensor x) {
    Tensor in = value.apply(name + ".fc1.weight");
    Tensor bias = value.apply(name + ".fc1.bias");
    Tensor out = value.apply(name + ".fc2.weight");
    if (activation.equals("quick_gelu")) {
      // x sigmoid(1.702 x) = silu(1.702 x) / 1.702: scales two weights, not the wide activations
      in = in.scale(QUICK);
      bias = bias.scale(QUICK);
      out = out.scale(1 / QUICK);
    }
    Activation act = activation.equals("gelu") ? Activation.GELU : Activation.SILU;
    return x.linear(in, bias).activation(act).linear(out, value.apply(name + ".fc2.bias"));
  }

  /** Layer norm over the last axis; the name is the module's. */
  Tensor norm(String name, Tensor x) {
    return x.layerNorm(value.apply(name + ".weight"), value.apply(name + ".bias"), epsilon);
  }

  private Tensor linear(String name, Tensor x) {
    return x.linear(value.apply(name + ".weight"), value.apply(name + ".bias"));
  }
}
