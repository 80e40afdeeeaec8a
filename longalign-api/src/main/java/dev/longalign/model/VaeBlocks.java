package dev.longalign.model;

import dev.longalign.nn.CrossAttention;
import dev.longalign.nn.GroupNorm;
import dev.longalign.nn.Weights;
import dev.longalign.tensor.Activation;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;

/**
 * What encoder and decoder share. Reference: {@code DownEncoderBlock2D}, {@code UpDecoderBlock2D},
 * {@code UNetMidBlock2D}.
 */
final class VaeBlocks {
  static final float EPS = 1e-6f;

  private VaeBlocks() {}

  /** {@code count} residual blocks, the first from {@code in} channels. */
  static List<UnaryOperator<Tensor>> resnets(
      Weights weights, int count, int in, int out, int groups) {
    List<UnaryOperator<Tensor>> resnets = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      ResnetBlock2D resnet =
          new ResnetBlock2D(weights.at("resnets", i), i == 0 ? in : out, out, 0, groups, EPS);
      resnets.add(x -> resnet.forward(x, null));
    }
    return resnets;
  }

  /**
   * Runs the steps one after the other. Pictures are large here, so results between steps do not
   * wait for the end: each half of the steps has a scope of its own, and no more than log2 of their
   * number are alive at a time.
   */
  static Tensor chain(List<UnaryOperator<Tensor>> steps, Tensor x) {
    int half = steps.size() / 2;
    if (half == 0) {
      return steps.get(0).apply(x);
    }
    try (TensorScope scope = TensorScope.open()) {
      Tensor between = chain(steps.subList(0, half), x);
      return scope.keep(chain(steps.subList(half, steps.size()), between));
    }
  }

  /** Attention of the pixels to each other with one head, added. */
  private static final class Attention {
    private final GroupNorm groupNorm;
    private final CrossAttention attention;

    Attention(Weights weights, int channels, int groups) {
      groupNorm = new GroupNorm(weights.at("group_norm"), groups, channels, EPS, Activation.NONE);
      attention = new CrossAttention(weights, channels, channels, 1, true);
    }

    Tensor forward(Tensor x) { // [B, H, W, C] -> [B, H, W, C]
      try (TensorScope scope = TensorScope.open()) {
        long[] sequence = {x.dim(0), (long) x.dim(1) * x.dim(2), x.dim(3)};
        Tensor h = groupNorm.forward(x).reshape(sequence); // [B, HW, C]
        Tensor y = attention.forward(h, x.reshape(sequence)); // [B, HW, C]
        return scope.keep(y.reshape(x.shape().toArray())); // [B, H, W, C]
      }
    }
  }

  /** Residual block, attention unless the config says otherwise, residual block. */
  static List<UnaryOperator<Tensor>> mid(
      Weights weights, int channels, int groups, boolean addAttention) {
    Attention attention =
        addAttention ? new Attention(weights.at("attentions", 0), channels, groups) : null;
    List<UnaryOperator<Tensor>> steps = resnets(weights, 2, channels, channels, groups);
    if (attention != null) {
      steps.add(1, attention::forward);
    }
    return steps;
  }
}
