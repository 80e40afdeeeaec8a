package dev.longalign.nn;

import dev.longalign.tensor.LinearWeight;
import dev.longalign.tensor.Tensor;

/** {@code hidden * gelu(gate)} with {@code [hidden, gate] = proj x} (Shazeer 2020), exact GELU. */
public final class Geglu {
  private final Weights.Packed<LinearWeight> proj;

  public Geglu(Weights weights, int in, int inner) {
    this.proj = weights.loraTarget().at("proj").geglu(in, inner);
  }

  public Tensor forward(Tensor x) { // [..., in] -> [..., inner]
    LayerBranch branch = proj.branch();
    return branch == null
        ? x.geglu(proj.weight())
        : branch.addTo(x.linear(proj.weight()), x).gatedGelu();
  }
}
