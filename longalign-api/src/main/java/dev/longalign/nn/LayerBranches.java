package dev.longalign.nn;

import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.TensorScope;

/** Chooses, while a model is loaded, what runs beside each of its layers. */
@FunctionalInterface
public interface LayerBranches {
  LayerBranches NONE = (layer, backend, dtype, owner) -> null;

  /**
   * @param dtype the type that the layer computes in
   * @param owner the scope of the model, which shall own what the branch holds
   * @return the branch of the layer, or null if it has none
   */
  LayerBranch of(LayerSpec layer, Backend backend, DType dtype, TensorScope owner);

  /** These branches and then the others, one added after the other. */
  default LayerBranches and(LayerBranches others) {
    return (layer, backend, dtype, owner) -> {
      LayerBranch first = of(layer, backend, dtype, owner);
      LayerBranch second = others.of(layer, backend, dtype, owner);
      if (first == null || second == null) {
        return first == null ? second : first;
      }
      return (base, x) -> second.addTo(first.addTo(base, x), x);
    };
  }
}
