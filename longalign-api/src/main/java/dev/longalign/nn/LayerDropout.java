package dev.longalign.nn;

import dev.longalign.tensor.Tensor;

/** What training does to the outputs of trainable layers. */
@FunctionalInterface
public interface LayerDropout {
  LayerDropout NONE = (layer, x) -> x;

  /**
   * @param layer the state-dict name of the layer
   * @param x its output
   */
  Tensor apply(String layer, Tensor x);
}
