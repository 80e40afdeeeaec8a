package dev.longalign.onnx.graph;

import java.util.Optional;
import java.util.Set;

/** The named tensors of a checkpoint, whatever files it is made of. */
public interface WeightSource {

  /** State-dict names of all tensors. */
  Set<String> names();

  Optional<StoredWeight> find(String name);

  /** What errors call this checkpoint: its file or directory. */
  String description();
}
