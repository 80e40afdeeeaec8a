package dev.longalign.model;

import dev.longalign.nn.Parameter;
import dev.longalign.tensor.Shape;
import java.util.ArrayList;
import java.util.List;

/** Collects the parameters of transformers' modules, in their order of registration. */
final class DeclaredParameters {
  private final List<Parameter> all = new ArrayList<>();

  List<Parameter> all() {
    return all;
  }

  void add(String name, long... dims) {
    Shape shape = Shape.of(dims);
    int fanIn = dims.length < 2 ? 0 : Math.toIntExact(shape.size() / dims[0]);
    all.add(new Parameter(name, shape, fanIn));
  }

  void addAll(List<Parameter> parameters) {
    all.addAll(parameters);
  }

  void affine(String module, long width) {
    add(module + ".weight", width);
    add(module + ".bias", width);
  }

  /** The transformer of one of CLIP's towers. */
  void layers(String tower, int count, long width, long feedForward) {
    for (int i = 0; i < count; i++) {
      String layer = tower + ".encoder.layers." + i;
      for (String projection : new String[] {"k_proj", "v_proj", "q_proj", "out_proj"}) {
        linear(layer + ".self_attn." + projection, width, width);
      }
      affine(layer + ".layer_norm1", width);
      linear(layer + ".mlp.fc1", width, feedForward);
      linear(layer + ".mlp.fc2", feedForward, width);
      affine(layer + ".layer_norm2", width);
    }
  }

  private void linear(String module, long in, long out) {
    add(module + ".weight", out, in);
    add(module + ".bias", out);
  }
}
