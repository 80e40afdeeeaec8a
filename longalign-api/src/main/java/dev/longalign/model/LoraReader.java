package dev.longalign.model;

import dev.longalign.LongAlignException;
import dev.longalign.io.Names;
import dev.longalign.io.StateDict;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFile;
import dev.longalign.nn.FiniteCheck;
import dev.longalign.nn.LayerSpec;
import dev.longalign.tensor.Conv2dGeometry;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/** Finds the layer of every tensor in a LoRA file. */
final class LoraReader {
  private static final int MAX_LISTED = 8;
  private static final Pattern NUMBER = Pattern.compile("\\d{1,9}");

  private final TensorFile file;
  private final List<LayerSpec> layers;
  private final PeftConfig config;
  private final Map<String, LayerSpec> byName;
  private final Map<String, Lora.Entry> entries = new LinkedHashMap<>();
  private final List<String> problems = new ArrayList<>();
  private int textEncoderTensors;

  /**
   * @param config what a file beside this one says of tensors without an alpha of their own
   */
  LoraReader(TensorFile file, List<LayerSpec> layers, PeftConfig config) {
    this.layers = layers;
    this.config = config;
    this.byName = byName(layers);
    this.file = StateDict.unwrap(file, name -> NUMBER.matcher(name).matches() || isKnown(name));
  }

  Lora read(Lora.TextEncoderTensors policy) {
    String refusal = WeightsKind.of(file).refusal();
    if (!refusal.isEmpty()) {
      throw new LongAlignException(file.source() + " is " + refusal);
    }
    boolean bare = file.names().stream().allMatch(name -> NUMBER.matcher(name).matches());
    if (bare && !file.names().isEmpty()) {
      readPositional();
    } else {
      readNamed();
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
              + " tensors"
              + (textEncoderTensors > 0
                  ? ", of which " + textEncoderTensors + " are for the text encoder"
                  : ""));
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

  /** By every name that a tool gives it. */
  private static Map<String, LayerSpec> byName(List<LayerSpec> layers) {
    OriginalUNetNames originalNames = OriginalUNetNames.of(layers);
    Map<String, LayerSpec> byName = new HashMap<>();
    for (LayerSpec layer : layers) {
      if (!layer.norm()) {
        String original = originalNames.of(layer.path() + ".weight").replaceFirst("\\.weight$", "");
        for (String path : List.of(layer.path(), original)) {
          byName.put(path, layer);
          for (String prefix : List.of(LoraKey.KOHYA, "lycoris_unet_", "lycoris_")) {
            byName.put(prefix + path.replace('.', '_'), layer);
          }
        }
      }
    }
    return byName;
  }

  private boolean isKnown(String name) {
    LoraKey key = LoraKey.of(name);
    return key != null && byName.containsKey(key.module()) || LoraKey.isTextEncoder(name);
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
      Map<LoraKey.Part, StoredTensor> parts = new LinkedHashMap<>();
      parts.put(LoraKey.Part.UP, file.tensor(String.valueOf(2 * i)));
      parts.put(LoraKey.Part.DOWN, file.tensor(String.valueOf(2 * i + 1)));
      add(targets.get(i), parts);
    }
  }

  private void readNamed() {
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
              + " tensors match no layer of this UNet (a LoRA for another model? expected up/down"
              + " pairs with kohya, PEFT or diffusers names): "
              + Names.some(unmatched));
    }
    found.forEach(this::addNamed);
  }

  private void addNamed(LayerSpec layer, Map<LoraKey.Part, StoredTensor> parts) {
    boolean up = parts.containsKey(LoraKey.Part.UP);
    boolean down = parts.containsKey(LoraKey.Part.DOWN);
    if (up && down) {
      add(layer, parts);
    } else {
      String found = up ? "up but not down" : down ? "down but not up" : "neither up nor down";
      problems.add(
          file.source() + ": layer " + layer.path() + " has " + found + "; the file is incomplete");
    }
  }

  private void add(LayerSpec layer, Map<LoraKey.Part, StoredTensor> parts) {
    StoredTensor up = parts.get(LoraKey.Part.UP);
    StoredTensor alpha = parts.get(LoraKey.Part.ALPHA);
    for (StoredTensor part : parts.values()) {
      if (!part.dtype().isFloating() && part != alpha) {
        problems.add(part + ": expected floating point numbers");
        return;
      }
    }
    StoredTensor mid = parts.get(LoraKey.Part.MID);
    StoredTensor down = parts.get(LoraKey.Part.DOWN);
    if (mid != null) {
      down = withMid(layer, mid, down);
    }
    if (down == null || !fits(layer, up, down)) {
      return;
    }
    int rank = down.shape().intDim(0);
    if (alpha != null && alpha.shape().size() != 1) {
      mismatch(alpha, "alpha", layer, "one number");
      return;
    }
    try {
      FiniteCheck.check(up);
      FiniteCheck.check(down);
      float scale = alpha == null ? config.scale(layer.path(), rank) : alpha.toFloats()[0] / rank;
      if (!Float.isFinite(scale)) {
        problems.add(
            (alpha == null ? file.source() : alpha.toString())
                + ": layer "
                + layer.path()
                + ": expected a finite alpha, found "
                + scale * rank);
        return;
      }
      entries.put(layer.path(), new Lora.Entry(layer, up, down, scale));
    } catch (LongAlignException wrong) {
      problems.add(wrong.getMessage());
    }
  }

  private boolean fits(LayerSpec layer, StoredTensor up, StoredTensor down) {
    Shape weight = layer.weight();
    boolean pointwise = isPointwise(layer);
    long rank = down.shape().rank() < 2 ? -1 : down.shape().dim(0);
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
      return false;
    }
    return fits;
  }

  private static boolean isPointwise(LayerSpec layer) {
    Conv2dGeometry conv = layer.conv();
    return conv == null || conv.kernelHeight() * conv.kernelWidth() == 1;
  }

  /**
   * One factor of two: {@code down'[a, i, y, x] = sum_b mid[a, b, y, x] down[b, i]}. LyCORIS's
   * LoCon with a Tucker decomposition runs down and up as 1 x 1 convolutions around that of the
   * kernel.
   *
   * @return [r, in, kh, kw]; null, with the problem noted, if the shapes do not fit
   */
  private StoredTensor withMid(LayerSpec layer, StoredTensor mid, StoredTensor down) {
    Shape weight = layer.weight();
    Shape kernel = mid.shape();
    long rank = kernel.rank() == 4 ? kernel.dim(0) : 0;
    if (rank < 1
        || weight.rank() != 4
        || !kernel.equals(Shape.of(rank, rank, weight.dim(2), weight.dim(3)))) {
      mismatch(mid, "mid", layer, "[r, r, kh, kw]");
      return null;
    } else if (!squeezed(down.shape()).equals(Shape.of(rank, weight.dim(1)))) {
      mismatch(down, "down", layer, "[" + rank + ", " + weight.dim(1) + ", 1, 1]");
      return null;
    }
    Shape joined = Shape.of(rank, weight.dim(1), weight.dim(2), weight.dim(3));
    int in = weight.intDim(1);
    int taps = weight.intDim(2) * weight.intDim(3);
    int r = kernel.intDim(0);
    float[] m = mid.toFloats(); // [r, r, taps]
    float[] d = down.toFloats(); // [r, in]
    float[] out = new float[Math.toIntExact(joined.size())]; // [r, in, taps]
    for (int a = 0; a < r; a++) {
      for (int b = 0; b < r; b++) {
        for (int i = 0; i < in; i++) {
          for (int tap = 0; tap < taps; tap++) {
            out[(a * in + i) * taps + tap] += m[(a * r + b) * taps + tap] * d[b * in + i];
          }
        }
      }
    }
    return StoredTensor.ofFloats(down.name(), DType.F32, joined, out);
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
}
