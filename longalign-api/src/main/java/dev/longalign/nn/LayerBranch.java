package dev.longalign.nn;

import dev.longalign.tensor.Tensor;

/**
 * What runs beside a layer and is added to its output: a LoRA that is not merged into the weight.
 */
public interface LayerBranch {

  /**
   * {@code base + branch(x)}.
   *
   * @param base the layer's own output for {@code x}, [..., out]
   */
  Tensor addTo(Tensor base, Tensor x);
}
