package dev.longalign.model;

import dev.longalign.model.UNet2DConditionConfig.Level;
import dev.longalign.nn.Weights;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/**
 * One level of the UNet: residual blocks, each followed by a transformer where the level has
 * attention. Parameters are declared attentions first, as the reference registers them; positional
 * LoRA files depend on that order. Reference: diffusers {@code models/unets/unet_2d_blocks.py}.
 */
final class UNetBlock {
  final List<Transformer2D> attentions = new ArrayList<>();
  final List<ResnetBlock2D> resnets = new ArrayList<>();
  private final Sampling2D sampler;

  private UNetBlock(
      Weights weights,
      Level level,
      int[] in,
      UNet2DConditionConfig config,
      String samplers,
      int attentionCount) {
    for (int i = 0; i < attentionCount; i++) {
      attentions.add(
          new Transformer2D(
              weights.at("attentions", i),
              level.channels(),
              level.heads(),
              level.transformerLayers(),
              config));
    }
    for (int i = 0; i < in.length; i++) {
      resnets.add(
          new ResnetBlock2D(
              weights.at("resnets", i),
              in[i],
              level.channels(),
              config.timeEmbedDim(),
              config.normNumGroups(),
              config.normEps()));
    }
    sampler =
        switch (samplers) {
          case "downsamplers" ->
              Sampling2D.down(
                  weights.at(samplers, 0), level.channels(), config.downsamplePadding());
          case "upsamplers" -> Sampling2D.up(weights.at(samplers, 0), level.channels());
          default -> null;
        };
  }

  static UNetBlock down(
      Weights weights, Level level, int inChannels, boolean last, UNet2DConditionConfig config) {
    int[] in = new int[level.layers()];
    for (int i = 0; i < in.length; i++) {
      in[i] = i == 0 ? inChannels : level.channels();
    }
    return new UNetBlock(
        weights, level, in, config, last ? "" : "downsamplers", level.attention() ? in.length : 0);
  }

  static UNetBlock mid(Weights weights, Level level, UNet2DConditionConfig config) {
    int[] in =
        level.attention()
            ? new int[] {level.channels(), level.channels()}
            : new int[] {level.channels()};
    return new UNetBlock(weights, level, in, config, "", in.length - 1);
  }

  /**
   * @param previous channels that come from below
   * @param skipIn channels of the last skip connection, which comes from the level above on the way
   *     down
   */
  static UNetBlock up(
      Weights weights,
      Level level,
      int previous,
      int skipIn,
      boolean last,
      UNet2DConditionConfig config) {
    int[] in = new int[level.layers() + 1];
    for (int i = 0; i < in.length; i++) {
      int skip = i == in.length - 1 ? skipIn : level.channels();
      in[i] = (i == 0 ? previous : level.channels()) + skip;
    }
    return new UNetBlock(
        weights, level, in, config, last ? "" : "upsamplers", level.attention() ? in.length : 0);
  }

  /** Pushes the result of every layer; the last one is the level's result. */
  void forwardDown(Tensor x, Tensor time, PreparedContext context, Deque<Tensor> skips) {
    Tensor h = x; // [B, H, W, in]
    for (int i = 0; i < resnets.size(); i++) {
      h = layer(i, h, time, context); // [B, H, W, C]
      skips.push(h);
    }
    if (sampler != null) {
      skips.push(sampler.down(h)); // [B, H/2, W/2, C]
    }
  }

  /** A residual block, then a transformer and another residual block for each attention. */
  Tensor forwardMid(
      Tensor x, Tensor time, PreparedContext context) { // [B, H, W, C] -> [B, H, W, C]
    try (TensorScope scope = TensorScope.open()) {
      Tensor h = resnets.get(0).forward(x, time); // [B, H, W, C]
      for (int i = 0; i < attentions.size(); i++) {
        h = attentions.get(i).forward(h, context); // [B, H, W, C]
        h = resnets.get(i + 1).forward(h, time); // [B, H, W, C]
      }
      return scope.keep(h);
    }
  }

  /** Pops one skip connection per layer. Doubles to the size of the next one, which may be odd. */
  Tensor forwardUp(Tensor x, Tensor time, PreparedContext context, Deque<Tensor> skips) {
    try (TensorScope scope = TensorScope.open()) {
      Tensor h = x; // [B, H, W, previous]
      for (int i = 0; i < resnets.size(); i++) {
        try (TensorScope layer = TensorScope.open()) {
          Tensor joined = Tensor.concat(-1, h, skips.pop()); // [B, H, W, h + skip]
          h = layer.keep(layer(i, joined, time, context)); // [B, H, W, C]
        }
      }
      if (sampler != null) {
        h = sampler.up(h, skips.peek().dim(1), skips.peek().dim(2)); // [B, 2H, 2W, C]
      }
      return scope.keep(h);
    }
  }

  private Tensor layer(int index, Tensor x, Tensor time, PreparedContext context) {
    if (attentions.isEmpty()) {
      return resnets.get(index).forward(x, time);
    }
    try (TensorScope scope = TensorScope.open()) {
      return scope.keep(
          attentions.get(index).forward(resnets.get(index).forward(x, time), context));
    }
  }
}
