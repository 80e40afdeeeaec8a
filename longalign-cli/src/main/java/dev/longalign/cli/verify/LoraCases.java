package dev.longalign.cli.verify;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.longalign.LongAlignException;
import dev.longalign.model.Lora;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.model.UNet2DConditionConfig;
import dev.longalign.nn.LayerBranches;
import dev.longalign.nn.LayerSpec;
import dev.longalign.nn.Parameter;
import dev.longalign.nn.WeightSource;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * {@code unet/lora}: {@code merged_N} has the first N files merged, {@code injected_N} runs the
 * last of them beside the layers instead.
 */
final class LoraCases implements CaseSource {
  private static final String AREA = "unet";
  private static final String WEIGHT = "weight:";

  private final Bench bench;
  private final Vectors vectors;
  private final Path model;
  private final Path component;

  LoraCases(Bench bench, Vectors vectors) {
    this.bench = bench;
    this.vectors = vectors;
    this.model = bench.model(vectors);
    this.component = bench.part(vectors, "unet");
  }

  @Override
  public List<VerifyCase> cases() {
    List<VerifyCase> cases = new ArrayList<>();
    for (String name : vectors.names()) {
      String path = vectors.name() + "." + name;
      if (name.matches("(injected|merged)_[1-9]\\d?")) {
        cases.add(new VerifyCase(AREA, path, c -> forward(name, c)));
      } else if (name.startsWith(WEIGHT)) {
        cases.add(new VerifyCase(AREA, path, c -> weight(name, c)));
      } else {
        cases.add(VerifyCase.skipped(AREA, path, "unknown case"));
      }
    }
    for (String name : vectors.values()) {
      String path = vectors.name() + "." + name;
      cases.add(
          name.matches("merged_\\d+_weight_digests")
              ? new VerifyCase(AREA, path, c -> digests(name, c))
              : VerifyCase.skipped(AREA, path, "unknown case"));
    }
    return cases;
  }

  private void forward(String name, Comparison comparison) {
    Vectors inputs = vectors.beside("forward");
    int count = number(name);
    boolean injected = name.startsWith("injected");
    LayerBranches branches = injected ? lora(count - 1).injected(1) : LayerBranches.NONE;
    WeightSource source = merged(injected ? count - 1 : count);
    try (UNet2DCondition unet =
            UNet2DCondition.load(config(), source, bench.backend(), DType.F32, branches);
        TensorScope scope = TensorScope.open()) {
      Tensor sample = inputs.nhwc(bench.backend(), "sample");
      float[] timesteps = new float[sample.dim(0)];
      Arrays.fill(timesteps, UNetCases.timestep(vectors.prose()));
      Tensor out =
          unet.forward(
              sample, timesteps, unet.prepareContext(inputs.tensor(bench.backend(), "context")));
      comparison.closeNhwc(vectors, name, out, Comparison.F32);
    }
  }

  private void weight(String name, Comparison comparison) {
    WeightSource merged = merged(number(vectors.meaning(name)));
    comparison.close(
        vectors,
        name,
        merged.load(bench.backend(), parameter(name.substring(WEIGHT.length()))),
        Comparison.F32);
  }

  /** Sum, norm, largest magnitude and the product with a fixed pattern of every weight. */
  private void digests(String name, Comparison comparison) {
    Map<String, JsonElement> digests = Values.entries(vectors.value(name));
    WeightSource merged = merged(number(name));
    comparison.same("number of weights", digests.size(), parameters().size());
    for (Parameter parameter : parameters()) {
      JsonElement digest = digests.get(parameter.name());
      if (digest == null) {
        comparison.wrong(parameter.name() + ": is not among the digests of " + name);
        continue;
      }
      try (TensorScope scope = TensorScope.open()) {
        float[] values = merged.load(bench.backend(), parameter).toFloats();
        digest(parameter.name(), digest.getAsJsonObject(), values, comparison);
      }
    }
  }

  private static void digest(
      String name, JsonObject digest, float[] values, Comparison comparison) {
    double sum = 0;
    double squares = 0;
    double max = 0;
    double pattern = 0;
    for (int i = 0; i < values.length; i++) {
      double x = values[i];
      sum += x;
      squares += x * x;
      max = Math.max(max, Math.abs(x));
      pattern += x * ((i * 40503L % 65536) / 65536.0 - 0.5);
    }
    // Every element may be off by its rounding; the sums of many are compared by their norm.
    double allowed = Comparison.F32 * Math.max(digest.get("l2").getAsDouble(), 1e-6);
    comparison.close(name + " sum", digest.get("sum").getAsDouble(), sum, allowed);
    comparison.close(name + " l2", digest.get("l2").getAsDouble(), Math.sqrt(squares), allowed);
    comparison.close(name + " max_abs", digest.get("max_abs").getAsDouble(), max, allowed);
    comparison.close(
        name + " pattern_dot", digest.get("pattern_dot").getAsDouble(), pattern, allowed);
  }

  private WeightSource merged(int count) {
    WeightSource source = Bench.weights(component);
    for (int i = 0; i < count; i++) {
      source = lora(i).mergedInto(source, 1);
    }
    return source;
  }

  private Lora lora(int index) {
    List<Path> files = files();
    if (index >= files.size()) {
      throw new LongAlignException(
          vectors.name() + ": expected " + (index + 1) + " LoRA files, found " + files);
    }
    return Lora.read(files.get(index), UNet2DCondition.layers(config()));
  }

  /** In the order in which the notes name them, then those of the layout for this UNet. */
  private List<Path> files() {
    Set<String> names =
        new LinkedHashSet<>(Values.found("([\\w.-]+\\.(?:pt|safetensors))", vectors.prose()));
    Path layout = model.resolve("lora_layout.json");
    if (Files.isRegularFile(layout)) {
      String unet = component.getFileName().toString();
      Values.entries(Values.read(layout).get("files"))
          .forEach(
              (name, about) -> {
                if (about.getAsJsonObject().get("model").getAsString().equals(unet)) {
                  names.add(name);
                }
              });
    }
    return names.stream().map(model::resolve).filter(Files::isRegularFile).toList();
  }

  private UNet2DConditionConfig config() {
    return UNetCases.config(component);
  }

  private List<Parameter> parameters() {
    return LayerSpec.parameters(UNet2DCondition.layers(config()));
  }

  private Parameter parameter(String name) {
    return parameters().stream()
        .filter(parameter -> parameter.name().equals(name))
        .findFirst()
        .orElseThrow(() -> new LongAlignException(component + ": has no weight " + name));
  }

  private static int number(String text) {
    return Values.found("(?:merged|injected)_(\\d+)", text).stream()
        .findFirst()
        .map(Integer::parseInt)
        .orElseThrow(() -> new VerifyCase.Skipped("unknown case: " + text));
  }
}
