package dev.longalign.cli.verify;

import dev.longalign.cli.verify.VerifyCase.Body;
import dev.longalign.io.ComponentDirectory;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFile;
import dev.longalign.model.AutoencoderKL;
import dev.longalign.model.AutoencoderKLConfig;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Tensor;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** {@code unet/vae}: the autoencoder both ways, and from files with the names of older versions. */
final class VaeCases implements CaseSource {
  private static final String AREA = "unet";
  private static final Set<String> INPUTS = Set.of("image_u8", "noise", "latents");

  /** What rounding the weights to half precision may do to the results. */
  private static final double HALF = 5e-3;

  private final Bench bench;
  private final Vectors vectors;
  private final Path component;
  private final Map<Path, AutoencoderKL> loaded = new HashMap<>();

  VaeCases(Bench bench, Vectors vectors) {
    this.bench = bench;
    this.vectors = vectors;
    this.component = bench.part(vectors, "vae");
  }

  @Override
  public List<VerifyCase> cases() {
    Map<String, Body> known = new LinkedHashMap<>();
    known.put("moments", c -> moments(component, Comparison.F32, c));
    known.put("sampled", c -> c.closeNhwc(vectors, "sampled", sampled(), Comparison.F32));
    known.put(
        "scaled", c -> c.closeNhwc(vectors, "scaled", vae().scale(sampled()), Comparison.F32));
    known.put("decoded", c -> decoded(component, Comparison.F32, c));
    known.put("decoded_u8", c -> PictureBytes.check(vectors, "decoded_u8", decode(component), c));
    List<VerifyCase> cases = new ArrayList<>();
    for (String name : vectors.names()) {
      if (!INPUTS.contains(name)) {
        add(cases, name, known.get(name));
      }
    }
    for (Path other : otherFiles()) {
      String name = other.getFileName().toString();
      add(cases, name + ".weights", c -> sameWeights(other, c));
      add(cases, name + ".moments", c -> moments(other, allowed(other), c));
      add(cases, name + ".decoded", c -> decoded(other, allowed(other), c));
    }
    return cases;
  }

  private void add(List<VerifyCase> cases, String name, Body body) {
    String path = vectors.name() + "." + name;
    cases.add(
        body == null
            ? VerifyCase.skipped(AREA, path, "unknown case")
            : new VerifyCase(AREA, path, body));
  }

  /** The same autoencoder in files beside it: {@code vae_deprecated_names}. */
  private List<Path> otherFiles() {
    return Bench.list(component.getParent()).stream()
        .filter(Files::isDirectory)
        .filter(path -> path.getFileName().toString().startsWith("vae_deprecated"))
        .filter(path -> !path.equals(component))
        .toList();
  }

  private void moments(Path directory, double relative, Comparison comparison) {
    comparison.closeNhwc(vectors, "moments", load(directory).moments(pictures()), relative);
  }

  private void decoded(Path directory, double relative, Comparison comparison) {
    comparison.closeNhwc(vectors, "decoded", decode(directory), relative);
  }

  private Tensor decode(Path directory) {
    return load(directory).decodeScaled(vectors.nhwc(bench.backend(), "latents"));
  }

  private Tensor sampled() {
    return vae().encode(pictures()).sample(vectors.nhwc(bench.backend(), "noise"));
  }

  private Tensor pictures() {
    float[] pixels = vectors.floats("image_u8");
    for (int i = 0; i < pixels.length; i++) {
      pixels[i] = pixels[i] / 127.5f - 1;
    }
    return Layouts.toNhwc(bench.backend(), vectors.shape("image_u8"), pixels);
  }

  /** Every weight is there under its current name, rounded to the type it is stored in. */
  private void sameWeights(Path other, Comparison comparison) {
    try (TensorFile expected = ComponentDirectory.open(component).weights();
        TensorFile got = ComponentDirectory.open(other).weights()) {
      Map<String, StoredTensor> renamed = byCurrentName(got);
      byCurrentName(expected)
          .forEach(
              (name, tensor) -> {
                StoredTensor found = renamed.get(name);
                if (found == null) {
                  comparison.wrong(other + ": lacks " + name);
                } else {
                  comparison.close(
                      name,
                      tensor.shape(),
                      tensor.toFloats(),
                      // 1x1 convolutions and linear layers hold the same numbers
                      found.shape().size() == tensor.shape().size()
                          ? tensor.shape()
                          : found.shape(),
                      found.toFloats(),
                      rounding(found.dtype()),
                      0);
                }
              });
    }
  }

  private static Map<String, StoredTensor> byCurrentName(TensorFile file) {
    Map<String, StoredTensor> tensors = new LinkedHashMap<>();
    for (String name : file.names()) {
      tensors.put(AutoencoderKL.currentName(name), file.tensor(name));
    }
    return tensors;
  }

  private double allowed(Path other) {
    Comparison weights = new Comparison();
    sameWeights(other, weights);
    boolean identical = weights.error() != null && weights.error() == 0;
    return identical ? Comparison.F32 : HALF;
  }

  private static double rounding(DType dtype) {
    return switch (dtype) {
      case F16 -> 0x1p-11;
      case BF16 -> 0x1p-8;
      default -> 0;
    };
  }

  private AutoencoderKL vae() {
    return load(component);
  }

  private AutoencoderKL load(Path directory) {
    return loaded.computeIfAbsent(directory, path -> load(bench, path));
  }

  static AutoencoderKL load(Bench bench, Path directory) {
    return AutoencoderKL.load(
        AutoencoderKLConfig.of(ComponentDirectory.open(directory).config()),
        Bench.weights(directory, AutoencoderKL::currentName),
        bench.backend(),
        DType.F32);
  }

  @Override
  public void close() {
    loaded.values().forEach(AutoencoderKL::close);
  }
}
