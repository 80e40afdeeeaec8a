package dev.longalign.model;

import dev.longalign.nn.Conv2d;
import dev.longalign.nn.GroupNorm;
import dev.longalign.nn.Weights;
import dev.longalign.tensor.Activation;
import dev.longalign.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;

/** Picture to moments. Reference: diffusers {@code models/autoencoders/vae.py}, {@code Encoder}. */
final class VaeEncoder {
  private final List<UnaryOperator<Tensor>> steps = new ArrayList<>();

  VaeEncoder(Weights weights, AutoencoderKLConfig config) {
    List<Integer> channels = config.blockOutChannels();
    int groups = config.normNumGroups();
    int last = channels.size() - 1;
    Conv2d convIn = Conv2d.same(weights.at("conv_in"), config.inChannels(), channels.get(0), 3);
    steps.add(convIn::forward); // [B, H, W, C0]
    for (int i = 0; i <= last; i++) {
      Weights block = weights.at("down_blocks", i);
      int out = channels.get(i);
      int in = channels.get(Math.max(0, i - 1));
      steps.addAll(
          VaeBlocks.resnets(block, config.layersPerBlock(), in, out, groups)); // [B, H, W, Ci]
      if (i < last) {
        Sampling2D downsampler = Sampling2D.down(block.at("downsamplers", 0), out, 0);
        steps.add(downsampler::down); // [B, H/2, W/2, Ci]
      }
    }
    int inner = channels.get(last);
    steps.addAll(
        VaeBlocks.mid(weights.at("mid_block"), inner, groups, config.midBlockAddAttention()));
    GroupNorm norm =
        new GroupNorm(weights.at("conv_norm_out"), groups, inner, VaeBlocks.EPS, Activation.SILU);
    steps.add(norm::forward); // [B, H/8, W/8, C3]
    Conv2d convOut = Conv2d.same(weights.at("conv_out"), inner, 2 * config.latentChannels(), 3);
    steps.add(convOut::forward); // [B, H/8, W/8, 2 * latent]
  }

  Tensor forward(Tensor picture) { // [B, H, W, 3] -> [B, H/8, W/8, 2 * latent]
    return VaeBlocks.chain(steps, picture);
  }
}
