package dev.longalign.nn;

import dev.longalign.tensor.Activation;
import dev.longalign.tensor.Tensor;

/**
 * Group normalisation (Wu and He 2018) over the channels of [B, ..., C], with an activation fused.
 */
public final class GroupNorm {
  private final int groups;
  private final float eps;
  private final Activation activation;
  private final Weights.Affine affine;

  public GroupNorm(Weights weights, int groups, int channels, float eps, Activation activation) {
    this.groups = groups;
    this.eps = eps;
    this.activation = activation;
    this.affine = weights.norm(channels);
  }

  public Tensor forward(Tensor x) { // [B, ..., C] -> [B, ..., C]
    return x.groupNorm(groups, affine.gamma(), affine.beta(), eps, activation);
  }

  /** The normalised values themselves, for inspection. */
  public Tensor withoutActivation(Tensor x) {
    return x.groupNorm(groups, affine.gamma(), affine.beta(), eps, Activation.NONE);
  }
}
