package dev.longalign.model;

import dev.longalign.nn.Conv2d;
import dev.longalign.nn.GroupNorm;
import dev.longalign.nn.Weights;
import dev.longalign.tensor.Activation;
import dev.longalign.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;

/** Latents to picture. Reference: diffusers {@code models/autoencoders/vae.py}, {@code Decoder}. */
final class VaeDecoder {
  private final List<UnaryOperator<Tensor>> steps = new ArrayList<>();

  VaeDecoder(Weights weights, AutoencoderKLConfig config) {
    List<Integer> channels = config.fromLatents();
    int groups = config.normNumGroups();
    int last = channels.size() - 1;
    int inner = channels.get(0);
    Conv2d convIn = Conv2d.same(weights.at("conv_in"), config.latentChannels(), inner, 3);
    steps.add(convIn::forward); // [B, h, w, C3]
    steps.addAll(
        VaeBlocks.mid(weights.at("mid_block"), inner, groups, config.midBlockAddAttention()));
    for (int i = 0; i <= last; i++) {
      Weights block = weights.at("up_blocks", i);
      int out = channels.get(i);
      int in = channels.get(Math.max(0, i - 1));
      steps.addAll(
          VaeBlocks.resnets(block, config.layersPerBlock() + 1, in, out, groups)); // [B, H, W, Ci]
      if (i < last) {
        Sampling2D upsampler = Sampling2D.up(block.at("upsamplers", 0), out);
        steps.add(x -> upsampler.up(x, 2 * x.dim(1), 2 * x.dim(2))); // [B, 2H, 2W, Ci]
      }
    }
    int outer = channels.get(last);
    GroupNorm norm =
        new GroupNorm(weights.at("conv_norm_out"), groups, outer, VaeBlocks.EPS, Activation.SILU);
    steps.add(norm::forward); // [B, 8h, 8w, C0]
    Conv2d convOut = Conv2d.same(weights.at("conv_out"), outer, config.outChannels(), 3);
    steps.add(convOut::forward); // [B, 8h, 8w, 3]
  }

  Tensor forward(Tensor latents) { // [B, h, w, latent] -> [B, 8h, 8w, 3]
    return VaeBlocks.chain(steps, latents);
  }
}
