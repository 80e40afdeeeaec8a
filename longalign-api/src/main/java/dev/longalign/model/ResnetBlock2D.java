package dev.longalign.model;

import dev.longalign.autograd.Checkpoint;
import dev.longalign.nn.Conv2d;
import dev.longalign.nn.GroupNorm;
import dev.longalign.nn.Linear;
import dev.longalign.nn.Weights;
import dev.longalign.tensor.Activation;
import dev.longalign.tensor.Epilogue;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;

/**
 * Residual block (He et al. 2015) with pre-activation and a time embedding; the UNet's and, without
 * time embedding, the autoencoder's. Reference: diffusers {@code models/resnet.py}, {@code
 * ResnetBlock2D}.
 */
final class ResnetBlock2D {
  private final GroupNorm norm1;
  private final Conv2d conv1;
  private final Linear timeEmbProj;
  private final GroupNorm norm2;
  private final Conv2d conv2;
  private final Linear convShortcut;

  /**
   * @param timeChannels width of the time embedding, or 0 for none
   */
  ResnetBlock2D(Weights at, int in, int out, int timeChannels, int groups, float eps) {
    Weights weights = at.loraTarget();
    norm1 = new GroupNorm(weights.at("norm1"), groups, in, eps, Activation.SILU);
    conv1 = Conv2d.same(weights.at("conv1"), in, out, 3);
    timeEmbProj =
        timeChannels == 0 ? null : new Linear(weights.at("time_emb_proj"), timeChannels, out, true);
    norm2 = new GroupNorm(weights.at("norm2"), groups, out, eps, Activation.SILU);
    conv2 = Conv2d.same(weights.at("conv2"), out, out, 3);
    convShortcut = in == out ? null : Linear.pointwise(weights.at("conv_shortcut"), in, out);
  }

  /**
   * @param activatedTime SiLU of the time embedding [B, timeChannels]; null for the autoencoder
   */
  Tensor forward(Tensor x, Tensor activatedTime) { // [B, H, W, in] -> [B, H, W, out]
    return Checkpoint.run(in -> block(in[0], in[1]), x, activatedTime);
  }

  private Tensor block(Tensor x, Tensor activatedTime) {
    try (TensorScope scope = TensorScope.open()) {
      Tensor time = timeEmbProj == null ? null : timeEmbProj.forward(activatedTime); // [B, out]
      Tensor h = normConv(norm1, conv1, x, Epilogue.channelBias(time)); // [B, H, W, out]
      Tensor shortcut = convShortcut == null ? x : convShortcut.forward(x); // [B, H, W, out]
      return scope.keep(normConv(norm2, conv2, h, Epilogue.residual(shortcut))); // [B, H, W, out]
    }
  }

  /**
   * In a scope of its own: the normalised picture, as large as the input, goes before the next
   * layer runs.
   */
  private static Tensor normConv(GroupNorm norm, Conv2d conv, Tensor x, Epilogue epilogue) {
    try (TensorScope scope = TensorScope.open()) {
      return scope.keep(conv.forward(norm.forward(x), epilogue));
    }
  }
}
