package dev.longalign.model;

import dev.longalign.nn.GroupNorm;
import dev.longalign.nn.Linear;
import dev.longalign.nn.Weights;
import dev.longalign.tensor.Activation;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.ArrayList;
import java.util.List;

/**
 * Spatial transformer (Rombach et al. 2022): the pixels are the tokens, row by row. In NHWC that is
 * the same memory, so the projections are linear layers whether they are stored as 1x1 convolutions
 * or not. Reference: diffusers {@code models/transformers/transformer_2d.py}, {@code
 * Transformer2DModel}.
 */
final class Transformer2D {
  private static final float NORM_EPS = 1e-6f;

  private final int channels;
  final GroupNorm norm;
  final Linear projIn;
  final List<TransformerBlock> blocks = new ArrayList<>();
  private final Linear projOut;

  Transformer2D(
      Weights weights, int channels, int heads, int layers, UNet2DConditionConfig config) {
    this.channels = channels;
    norm =
        new GroupNorm(
            weights.at("norm"), config.normNumGroups(), channels, NORM_EPS, Activation.NONE);
    projIn = projection(weights.at("proj_in"), config.useLinearProjection());
    for (int i = 0; i < layers; i++) {
      blocks.add(
          new TransformerBlock(
              weights.at("transformer_blocks", i), channels, config.crossAttentionDim(), heads));
    }
    projOut = projection(weights.at("proj_out"), config.useLinearProjection());
  }

  private Linear projection(Weights weights, boolean linear) {
    return linear
        ? new Linear(weights, channels, channels, true)
        : Linear.pointwise(weights, channels, channels);
  }

  Tensor forward(Tensor x, PreparedContext context) { // [B, H, W, C] -> [B, H, W, C]
    try (TensorScope scope = TensorScope.open()) {
      long batch = x.dim(0);
      long pixels = (long) x.dim(1) * x.dim(2);
      Tensor h = projIn.forward(norm.forward(x)).reshape(batch, pixels, channels); // [B, HW, C]
      for (TransformerBlock block : blocks) {
        h = block.forward(h, context); // [B, HW, C]
      }
      Tensor residual = x.reshape(batch, pixels, channels); // [B, HW, C]
      Tensor y = projOut.forward(h, residual); // [B, HW, C]
      return scope.keep(y.reshape(batch, x.dim(1), x.dim(2), channels)); // [B, H, W, C]
    }
  }
}
