package dev.longalign.nn;

import dev.longalign.tensor.Conv2dGeometry;
import dev.longalign.tensor.Shape;
import java.util.ArrayList;
import java.util.List;

/**
 * What a model declares about one of its layers before any weight is read.
 *
 * @param path the state-dict name without {@code .weight}, for example {@code
 *     down_blocks.0.resnets.0.conv1}
 * @param weight the shape in which torch stores the weight
 * @param bias whether there is a bias [weight.dim(0)]
 * @param conv the geometry of a convolution, null for linear layers and norms
 * @param norm whether this is a normalisation (weight = scale, bias = shift)
 * @param loraTarget whether the LongAlign reference adapts it: it lies in a ResnetBlock2D, an
 *     Attention or a GEGLU
 */
public record LayerSpec(
    String path,
    Shape weight,
    boolean bias,
    Conv2dGeometry conv,
    boolean norm,
    boolean loraTarget) {

  /** The parameters of the layer, in state-dict order. */
  public List<Parameter> parameters() {
    int fanIn = norm ? 0 : Math.toIntExact(weight.size() / Math.max(1, weight.dim(0)));
    List<Parameter> parameters = new ArrayList<>(2);
    parameters.add(new Parameter(path + ".weight", weight, fanIn));
    if (bias) {
      parameters.add(new Parameter(path + ".bias", Shape.of(weight.dim(0)), fanIn));
    }
    return parameters;
  }

  /** The parameters of all layers. */
  public static List<Parameter> parameters(List<LayerSpec> layers) {
    List<Parameter> all = new ArrayList<>();
    for (LayerSpec layer : layers) {
      all.addAll(layer.parameters());
    }
    return all;
  }
}
