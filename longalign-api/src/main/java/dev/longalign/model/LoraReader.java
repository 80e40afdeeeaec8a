package dev.longalign.model;

import dev.longalign.LongAlignException;
import dev.longalign.io.Config;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFile;
import dev.longalign.nn.LayerSpec;
import dev.longalign.tensor.Conv2dGeometry;
import dev.longalign.tensor.Shape;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Finds the layer of every tensor in a LoRA file. */
final class LoraReader {
  private static final int MAX_LISTED = 40;

  private final TensorFile file;
  private final List<LayerSpec> layers;
  private final Map<String, Lora.Entry> entries = new LinkedHashMap<>();
  private final List<String> problems = new ArrayList<>();
  private int textEncoderTensors;

  LoraReader(TensorFile file, List<LayerSpec> layers) {
    this.file = file;
    this.layers = layers;
  }

  /**
   * @param alphaOverRank what a file beside this one says of tensors without an alpha of their own
   */
  Lora read(Lora.TextEncoderTensors policy, float alphaOverRank) {
    if (!file.names().isEmpty() && file.names().stream().allMatch(name -> name.matches("\\d+"))) {
      readPositional();
    } else {
      readNamed(alphaOverRank);
    }
    if (textEncoderTensors > 0 && policy == Lora.TextEncoderTensors.REFUSE) {
      problems.add(
          file.source()
              + ": "
              + textEncoderTensors
              + " tensors are for the text encoder, which stays frozen here;"
              + " read the file with TextEncoderTensors.IGNORE to use only its UNet part");
    }
    if (problems.isEmpty() && entries.isEmpty()) {
      problems.add(
          file.source()
              + ": expected a LoRA for the UNet, found none among its "
              + file.names().size()
              + " tensors");
    }
    if (!problems.isEmpty()) {
      int shown = Math.min(problems.size(), MAX_LISTED);
      String more =
          problems.size() > shown
              ? "\n... and " + (problems.size() - shown) + " more like these"
              : "";
      throw new LongAlignException(String.join("\n", problems.subList(0, shown)) + more);
    }
    return new Lora(file.source(), entries, textEncoderTensors);
  }

  /** A bare list, up before down, in the order in which the reference walks the UNet. */
  private void readPositional() {
    List<LayerSpec> targets = layers.stream().filter(LayerSpec::loraTarget).toList();
    int count = file.names().size();
    if (count != 2 * targets.size()) {
      problems.add(
          file.source()
              + ": expected "
              + 2 * targets.size()
              + " tensors, up and down for each of the "
              + targets.size()
              + " adapted layers of this UNet, found "
              + count
              + " (a LoRA for another model? use the one that was trained for this UNet)");
      return;
    }
    for (int i = 0; i < targets.size(); i++) {
      add(
          targets.get(i),
          file.tensor(String.valueOf(2 * i)),
          file.tensor(String.valueOf(2 * i + 1)),
          null,
          1);
    }
  }

  private void readNamed(float alphaOverRank) {
    Map<String, LayerSpec> byName = new LinkedHashMap<>();
    for (LayerSpec layer : layers) {
      if (!layer.norm()) {
        byName.put(layer.path(), layer);
        byName.put(LoraKey.KOHYA + layer.path().replace('.', '_'), layer);
      }
    }
    Map<LayerSpec, Map<LoraKey.Part, StoredTensor>> found = new LinkedHashMap<>();
    List<String> unmatched = new ArrayList<>();
    for (String name : file.names()) {
      LoraKey key = LoraKey.of(name);
      LayerSpec layer = key == null ? null : byName.get(key.module());
      if (LoraKey.isTextEncoder(name)) {
        textEncoderTensors++;
      } else if (layer == null
          || found
                  .computeIfAbsent(layer, l -> new LinkedHashMap<>())
                  .put(key.part(), file.tensor(name))
              != null) {
        unmatched.add(name);
      }
    }
    if (!unmatched.isEmpty()) {
      problems.add(
          file.source()
              + ": "
              + unmatched.size()
              + " of "
              + file.names().size()
              + " tensors match no layer of this UNet (a LoRA for another model, or of another kind such as DoRA, LoHa"
              + " or LoKr? expected up/down pairs with kohya, PEFT or diffusers names): "
              + String.join(", ", unmatched));
    }
    found.forEach((layer, parts) -> addNamed(layer, parts, alphaOverRank));
  }

  private void addNamed(
      LayerSpec layer, Map<LoraKey.Part, StoredTensor> parts, float alphaOverRank) {
    StoredTensor up = parts.get(LoraKey.Part.UP);
    StoredTensor down = parts.get(LoraKey.Part.DOWN);
    if (up == null || down == null) {
      problems.add(
          file.source()
              + ": layer "
              + layer.path()
              + " has "
              + (up != null
                  ? "up but not down"
                  : down != null ? "down but not up" : "neither up nor down")
              + "; the file is incomplete");
      return;
    }
    add(layer, up, down, parts.get(LoraKey.Part.ALPHA), alphaOverRank);
  }

  private void add(
      LayerSpec layer,
      StoredTensor up,
      StoredTensor down,
      StoredTensor alpha,
      float alphaOverRank) {
    Shape weight = layer.weight();
    Conv2dGeometry conv = layer.conv();
    long rank = down.shape().rank() < 2 ? -1 : down.shape().dim(0);
    boolean pointwise = conv == null || conv.kernelHeight() * conv.kernelWidth() == 1;
    Shape wanted =
        pointwise
            ? Shape.of(rank < 0 ? 0 : rank, weight.dim(1))
            : weight.with(0, Math.max(0, rank));
    String downShape =
        pointwise ? "[r, " + weight.dim(1) + "]" : weight.toString().replaceFirst("\\d+", "r");
    boolean fits =
        rank > 0
            && (down.shape().equals(wanted) || pointwise && squeezed(down.shape()).equals(wanted));
    if (!fits) {
      mismatch(down, "down", layer, downShape);
    } else if (!squeezed(up.shape()).equals(Shape.of(weight.dim(0), rank))) {
      mismatch(up, "up", layer, "[" + weight.dim(0) + ", " + rank + "]");
    } else if (!up.dtype().isFloating() || !down.dtype().isFloating()) {
      problems.add(
          layer.path()
              + " in "
              + file.source()
              + ": expected floating point numbers, found "
              + up.dtype());
    } else if (alpha != null && alpha.shape().size() != 1) {
      mismatch(alpha, "alpha", layer, "one number");
    } else {
      float scale = alpha == null ? alphaOverRank : alpha.toFloats()[0] / rank;
      entries.put(layer.path(), new Lora.Entry(layer, up, down, scale));
    }
  }

  private void mismatch(StoredTensor tensor, String part, LayerSpec layer, String expected) {
    problems.add(
        "entry "
            + tensor.name()
            + " ("
            + part
            + ") in "
            + file.source()
            + ": for layer "
            + layer.path()
            + " "
            + layer.weight()
            + " expected "
            + expected
            + ", found "
            + tensor.shape()
            + " (a LoRA for another model? use the one that was trained for this UNet)");
  }

  private static Shape squeezed(Shape shape) {
    boolean pointwise = shape.rank() == 4 && shape.dim(2) == 1 && shape.dim(3) == 1;
    return pointwise ? Shape.of(shape.dim(0), shape.dim(1)) : shape;
  }

  /**
   * Alpha over rank as PEFT writes it beside the file, or diffusers into its metadata; 1 if neither
   * does.
   */
  static float alphaOverRank(Path path, TensorFile file) {
    Path beside = path.resolveSibling("adapter_config.json");
    if (path.getFileName().toString().startsWith("adapter_model") && Files.exists(beside)) {
      return alphaOverRank(Config.read(beside), "");
    }
    String metadata = file.metadata().get("lora_adapter_metadata");
    return metadata == null
        ? 1
        : alphaOverRank(Config.parse(file.source() + " metadata", metadata), "unet.");
  }

  private static float alphaOverRank(Config config, String prefix) {
    for (String pattern : new String[] {"alpha_pattern", "rank_pattern"}) {
      if (config.has(prefix + pattern) && !config.getConfig(prefix + pattern).keys().isEmpty()) {
        throw config.refusal(prefix + pattern, "nothing (one rank and one alpha for all layers)");
      }
    }
    if (!config.has(prefix + "r")) {
      return 1;
    }
    float rank = config.getFloat(prefix + "r");
    boolean rootRank = config.getBoolean(prefix + "use_rslora", false);
    return config.getFloat(prefix + "lora_alpha", rank)
        / (rootRank ? (float) Math.sqrt(rank) : rank);
  }
}
