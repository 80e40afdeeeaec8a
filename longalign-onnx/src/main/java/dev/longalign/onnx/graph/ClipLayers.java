package dev.longalign.onnx.graph;

/**
 * What CLIP's two towers have in common: the pre-norm transformer layer.
 *
 * @param width of a state
 * @param feedForward inner width of the MLP
 * @param heads divide {@code width}
 * @param epsilon of the layer norms
 * @param activation transformers' name of the MLP's nonlinearity
 */
record ClipLayers(
    GraphOps ops, int width, int feedForward, int heads, float epsilon, String activation) {

  /**
   * One layer.
   *
   * @param x [rows, width]
   * @param splitShape i64 [4]: batch, length, heads, width of a head
   * @param bias of the attention's scores, or null
   * @return [rows, width]
   */
  Value forward(GraphWeights layer, Value x, Value splitShape, Value bias) {
    GraphWeights self = layer.in("self_attn");
    Value h = norm(layer.in("layer_norm1"), x);
    float scale = (float) (1 / Math.sqrt((double) width / heads));
    Value q = ops.mul(linear(self.in("q_proj"), h, width, width), scale);
    Value k = linear(self.in("k_proj"), h, width, width);
    Value v = linear(self.in("v_proj"), h, width, width);
    Value attended = ops.attention(q, k, v, splitShape, width, bias);
    x = ops.add(x, linear(self.in("out_proj"), attended, width, width));

    h = linear(layer.in("mlp.fc1"), norm(layer.in("layer_norm2"), x), width, feedForward);
    h = linear(layer.in("mlp.fc2"), ops.activation(activation, h), feedForward, width);
    return ops.add(x, h);
  }

  /** Layer norm over the last axis. */
  Value norm(GraphWeights module, Value x) {
    return ops.layerNorm(x, module.at("weight", width), module.at("bias", width), epsilon);
  }

  private Value linear(GraphWeights module, Value x, long in, long out) {
    return ops.linear(x, module.at("weight", out, in), module.at("bias", out));
  }
}
