package dev.longalign.nn;

import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Conv2dGeometry;
import dev.longalign.tensor.Conv2dWeight;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.LinearWeight;
import dev.longalign.tensor.ScopedResource;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.BiFunction;
import java.util.function.Function;

/**
 * A place in a state dict from which layers take their parameters: {@code new
 * Linear(weights.at("to_q"), 320, 320, false)}.
 *
 * <p>A model is built twice by the same constructor. {@link #declare} runs it without any weight,
 * which yields its layers in the reference's registration order; with these the source is checked
 * as a whole. Then {@link #load} runs it over the source, layer by layer: upload, pack in the
 * compute type, drop the upload.
 */
public final class Weights {
  private final Loader loader;
  private final String path;
  private final boolean loraTarget;

  private Weights(Loader loader, String path, boolean loraTarget) {
    this.loader = loader;
    this.path = path;
    this.loraTarget = loraTarget;
  }

  /** The layers that {@code constructor} asks for, in that order. */
  public static List<LayerSpec> declare(Function<Weights, ?> constructor) {
    List<LayerSpec> layers = new ArrayList<>();
    Object model =
        constructor.apply(new Weights(new Loader(layers, null, null, null, null, null), "", false));
    Objects.requireNonNull(model, "the constructor built no model");
    return List.copyOf(layers);
  }

  /**
   * Builds a model over a source, after checking that the source has exactly what the model
   * declares.
   *
   * @param dtype the type to compute in
   * @param branches what runs beside each layer; asked once for each linear layer and convolution
   * @param constructor also gets the detached scope that owns the weights, which the model closes;
   *     while declaring, null
   */
  public static <M> M load(
      WeightSource source,
      Backend backend,
      DType dtype,
      LayerBranches branches,
      BiFunction<Weights, TensorScope, M> constructor) {
    List<LayerSpec> layers = declare(weights -> constructor.apply(weights, null));
    source.check(LayerSpec.parameters(layers));
    TensorScope owner = TensorScope.detached();
    try {
      Loader loader = new Loader(new ArrayList<>(), source, backend, dtype, owner, branches);
      return constructor.apply(new Weights(loader, "", false), owner);
    } catch (RuntimeException | Error e) {
      owner.close();
      throw e;
    }
  }

  /** The place called {@code name} below this one. */
  public Weights at(String name) {
    return new Weights(loader, path.isEmpty() ? name : path + "." + name, loraTarget);
  }

  /** The {@code index}-th element of the list called {@code name}. */
  public Weights at(String name, int index) {
    return at(name + "." + index);
  }

  /**
   * This place, with every linear layer and convolution below it marked as adapted by the
   * reference's LoRA.
   */
  public Weights loraTarget() {
    return new Weights(loader, path, true);
  }

  /** The state-dict name of this place. */
  public String path() {
    return path;
  }

  // ---- what layers ask for; null while declaring

  record Affine(Tensor gamma, Tensor beta) {}

  record Packed<W>(W weight, LayerBranch branch) {}

  Affine norm(int channels) {
    LayerSpec spec = spec(Shape.of(channels), true, null, true);
    if (loader.source == null) {
      return new Affine(null, null);
    }
    try (TensorScope scope = TensorScope.open()) {
      Tensor gamma = loader.parameter(spec, 0);
      Tensor beta = loader.parameter(spec, 1);
      return new Affine(loader.owner.adopt(gamma), loader.owner.adopt(beta));
    }
  }

  Packed<LinearWeight> linear(int in, int out, boolean bias) {
    return pack(
        spec(Shape.of(out, in), bias, null, false), (w, b, branch) -> loader.packLinear(w, b));
  }

  /**
   * A 1x1 convolution: over NHWC it is a linear layer, only its weight is stored as [out, in, 1,
   * 1].
   */
  Packed<LinearWeight> pointwise(int in, int out) {
    Conv2dGeometry geometry = Conv2dGeometry.of(in, out, 1, 1, 0);
    return pack(
        spec(geometry.weightShape(), true, geometry, false),
        (w, b, branch) -> loader.packLinear(w, b));
  }

  /**
   * With a branch the two halves have to be there before the gate is applied, so the weight is
   * packed as linear.
   */
  Packed<LinearWeight> geglu(int in, int inner) {
    return pack(
        spec(Shape.of(2L * inner, in), true, null, false),
        (w, b, branch) ->
            branch == null
                ? loader.backend.packGeglu(w, b, loader.dtype)
                : loader.packLinear(w, b));
  }

  Packed<Conv2dWeight> conv2d(Conv2dGeometry geometry) {
    return pack(
        spec(geometry.weightShape(), true, geometry, false),
        (w, b, branch) -> loader.backend.packConv2d(w, b, geometry, loader.dtype));
  }

  void placeTogether(LinearWeight... packed) {
    if (loader.source != null) {
      loader.backend.placeTogether(packed);
    }
  }

  private LayerSpec spec(Shape weight, boolean bias, Conv2dGeometry conv, boolean norm) {
    LayerSpec spec = new LayerSpec(path, weight, bias, conv, norm, loraTarget && !norm);
    loader.layers.add(spec);
    return spec;
  }

  private interface Packer<W> {
    W pack(Tensor weight, Tensor bias, LayerBranch branch);
  }

  private <W extends ScopedResource> Packed<W> pack(LayerSpec spec, Packer<W> packer) {
    if (loader.source == null) {
      return new Packed<>(null, null);
    }
    try (TensorScope scope = TensorScope.open()) {
      Tensor weight = loader.parameter(spec, 0);
      Tensor bias = spec.bias() ? loader.parameter(spec, 1) : null;
      LayerBranch branch = loader.branches.of(spec, loader.backend, loader.dtype, loader.owner);
      return new Packed<>(loader.owner.adopt(packer.pack(weight, bias, branch)), branch);
    }
  }

  /** Shared by all places of one model. */
  private record Loader(
      List<LayerSpec> layers,
      WeightSource source,
      Backend backend,
      DType dtype,
      TensorScope owner,
      LayerBranches branches) {

    Tensor parameter(LayerSpec spec, int index) {
      return source.load(backend, spec.parameters().get(index));
    }

    LinearWeight packLinear(Tensor weight, Tensor bias) {
      long out = weight.shape().dim(0);
      return backend.packLinear(weight.reshape(out, weight.shape().size() / out), bias, dtype);
    }
  }
}
