package dev.longalign.nn;

import dev.longalign.tensor.Tensor;

/** Layer normalisation (Ba et al. 2016) over the last axis, eps 1e-5 as torch has it. */
public final class LayerNorm {
  private static final float EPS = 1e-5f;

  private final Weights.Affine affine;

  public LayerNorm(Weights weights, int channels) {
    this.affine = weights.norm(channels);
  }

  public Tensor forward(Tensor x) { // [..., C] -> [..., C]
    return x.layerNorm(affine.gamma(), affine.beta(), EPS);
  }
}
