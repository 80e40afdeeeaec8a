package dev.longalign.model;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonArray;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import dev.longalign.LongAlignException;
import dev.longalign.io.AtomicFiles;
import dev.longalign.io.SafetensorsWriter;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TorchWriter;
import dev.longalign.nn.FiniteCheck;
import dev.longalign.nn.LayerSpec;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/** Writes the factors of a LoRA under the names of one format. */
final class LoraWriter {
  private static final String PEFT_WEIGHTS = "adapter_model.safetensors";
  private static final String PEFT_CONFIG = "adapter_config.json";
  private static final Gson PRETTY =
      new GsonBuilder().setPrettyPrinting().disableHtmlEscaping().serializeNulls().create();

  private final Path path;
  private final Lora lora;
  private final DType dtype;
  private final Collection<Lora.Entry> entries;

  LoraWriter(Path path, Lora lora, DType dtype) {
    this.path = path;
    this.lora = lora;
    this.dtype = dtype;
    this.entries = lora.entries().values();
    if (dtype != DType.F16 && dtype != DType.BF16 && dtype != DType.F32) {
      throw new LongAlignException(
          path + " cannot be written: expected f16, bf16 or f32, found " + dtype);
    }
  }

  void longAlign(List<LayerSpec> layers) {
    List<String> targets =
        layers.stream().filter(LayerSpec::loraTarget).map(LayerSpec::path).toList();
    if (!lora.entries().keySet().equals(Set.copyOf(targets))) {
      List<String> missing =
          targets.stream().filter(layer -> !lora.entries().containsKey(layer)).toList();
      List<String> others =
          lora.entries().keySet().stream().filter(layer -> !targets.contains(layer)).toList();
      throw refusal(
          "a bare list has exactly the " + targets.size() + " layers that LongAlign adapts",
          missing.isEmpty()
              ? others.size() + " others (" + others.get(0) + ")"
              : missing.size() + " of them missing (" + missing.get(0) + ")");
    }
    List<StoredTensor> tensors = new ArrayList<>();
    for (String target : targets) {
      Lora.Entry entry = lora.entries().get(target);
      tensors.add(up(entry, target + ".up", entry.scale()));
      tensors.add(down(entry, target + ".down"));
    }
    TorchWriter.writeList(path, tensors);
  }

  void kohya() {
    List<StoredTensor> tensors = new ArrayList<>();
    for (Lora.Entry entry : entries) {
      String name = LoraKey.KOHYA + entry.layer().path().replace('.', '_');
      tensors.add(up(entry, name + ".lora_up.weight", 1));
      tensors.add(down(entry, name + ".lora_down.weight"));
      // In f32 whatever the factors are: half precision counts to 2048 only.
      float[] alpha = {entry.scale() * entry.rank()};
      tensors.add(StoredTensor.ofFloats(name + ".alpha", DType.F32, Shape.of(), alpha));
    }
    Map<String, String> metadata = new TreeMap<>();
    metadata.put("format", "pt");
    metadata.put("ss_network_module", "networks.lora");
    int rank = commonRank();
    if (rank > 0) {
      metadata.put("ss_network_dim", Integer.toString(rank));
      metadata.put("ss_network_alpha", Float.toString(commonScale() * rank));
    }
    SafetensorsWriter.write(path, tensors, metadata);
  }

  void peft() {
    if (!path.getFileName().toString().equals(PEFT_WEIGHTS)) {
      throw new LongAlignException(
          path + ": PEFT looks for the name " + PEFT_WEIGHTS + "; write a file of that name");
    }
    int rank = commonRank();
    if (rank < 0) {
      throw refusal("PEFT's files have one rank for all layers here", "several; write kohya");
    }
    SafetensorsWriter.write(path, pairs("base_model.model."));
    JsonObject config = config(rank);
    config.addProperty("peft_type", "LORA");
    config.add("task_type", JsonNull.INSTANCE);
    config.add("base_model_name_or_path", JsonNull.INSTANCE);
    config.addProperty("inference_mode", true);
    config.addProperty("bias", "none");
    config.addProperty("fan_in_fan_out", false);
    config.addProperty("init_lora_weights", true);
    config.add("rank_pattern", new JsonObject());
    config.add("alpha_pattern", new JsonObject());
    byte[] json = (PRETTY.toJson(config) + "\n").getBytes(StandardCharsets.UTF_8);
    AtomicFiles.write(path.resolveSibling(PEFT_CONFIG), out -> out.write(json));
  }

  void diffusers() {
    Map<String, String> metadata = new TreeMap<>();
    metadata.put("format", "pt");
    int rank = commonRank();
    if (rank > 0) {
      JsonObject prefixed = new JsonObject();
      config(rank).entrySet().forEach(e -> prefixed.add("unet." + e.getKey(), e.getValue()));
      metadata.put("lora_adapter_metadata", new Gson().toJson(prefixed));
    }
    SafetensorsWriter.write(path, pairs("unet."), metadata);
  }

  /** What PEFT's {@code LoraConfig} needs of these factors. */
  private JsonObject config(int rank) {
    JsonArray targets = new JsonArray();
    entries.forEach(entry -> targets.add(entry.layer().path()));
    float alpha = commonScale() * rank;
    JsonObject config = new JsonObject();
    config.addProperty("r", rank);
    if (alpha == Math.rint(alpha)) {
      config.addProperty("lora_alpha", (long) alpha);
    } else {
      config.addProperty("lora_alpha", alpha);
    }
    config.addProperty("lora_dropout", 0.0);
    config.addProperty("use_rslora", false);
    config.add("target_modules", targets);
    return config;
  }

  private List<StoredTensor> pairs(String prefix) {
    float common = commonScale();
    List<StoredTensor> tensors = new ArrayList<>();
    for (Lora.Entry entry : entries) {
      String name = prefix + entry.layer().path();
      tensors.add(down(entry, name + ".lora_A.weight"));
      tensors.add(up(entry, name + ".lora_B.weight", entry.scale() / common));
    }
    return tensors;
  }

  /** -1 if layers differ. */
  private int commonRank() {
    List<Integer> ranks = entries.stream().map(Lora.Entry::rank).distinct().toList();
    return ranks.size() == 1 ? ranks.get(0) : -1;
  }

  /** 1 if layers differ: the rest then goes into the factors. */
  private float commonScale() {
    List<Float> scales = entries.stream().map(Lora.Entry::scale).distinct().toList();
    return scales.size() == 1 && scales.get(0) != 0 && commonRank() > 0 ? scales.get(0) : 1;
  }

  /** [out, r], of a convolution [out, r, 1, 1]. */
  private StoredTensor up(Lora.Entry entry, String name, float factor) {
    long out = entry.layer().weight().dim(0);
    Shape shape =
        entry.layer().conv() == null
            ? Shape.of(out, entry.rank())
            : Shape.of(out, entry.rank(), 1, 1);
    return stored(entry.up(), name, shape, factor);
  }

  /** [r, in], of a convolution [r, in, kh, kw]. */
  private StoredTensor down(Lora.Entry entry, String name) {
    return stored(entry.down(), name, entry.layer().weight().with(0, entry.rank()), 1);
  }

  private StoredTensor stored(StoredTensor from, String name, Shape shape, float factor) {
    return StoredTensor.lazy(
        name,
        dtype,
        shape,
        lora.source(),
        () -> {
          float[] values = from.toFloats();
          for (int i = 0; i < values.length; i++) {
            values[i] *= factor;
          }
          return FiniteCheck.converted(StoredTensor.ofFloats(name, dtype, shape, values)).data();
        });
  }

  private LongAlignException refusal(String expected, String found) {
    return new LongAlignException(
        path + " cannot be written: " + expected + ", found in " + lora.source() + ": " + found);
  }
}
