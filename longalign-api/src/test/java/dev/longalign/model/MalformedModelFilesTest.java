package dev.longalign.model;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.gson.JsonPrimitive;
import dev.longalign.LongAlignException;
import dev.longalign.io.Config;
import dev.longalign.io.ModelDirectory;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFile;
import dev.longalign.io.TensorFiles;
import dev.longalign.nn.LayerSpec;
import dev.longalign.scheduler.Scheduler;
import dev.longalign.scheduler.SchedulerConfig;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Random damage to configs, indexes and LoRA files: the answer is a model or a {@link
 * LongAlignException}, soon, never anything else.
 */
class MalformedModelFilesTest {
  private static final Path KINDS = Path.of("src/test/resources/dev/longalign/model/lora-kinds");
  private static final int MUTATIONS = 1000;

  /** Where each one writes a file or reads many tensors. */
  private static final int FEWER = 200;

  private static final List<String> VALUES =
      List.of(
          "1e999999999",
          "-1e999",
          "1e-999999999",
          "99999999999999999999",
          "9".repeat(5000),
          "-1",
          "0",
          "2147483648",
          "0.5",
          "NaN",
          "true",
          "null",
          "[]",
          "{}",
          "[[[]]]",
          "\"\"",
          "\"a\\u0000b\"",
          "\"../x\"",
          "\"\\ud800\"",
          "\"(((\"",
          "\"(a|a)*\"",
          "[1,2,3,4,5]",
          "[null]",
          "{\"a\":{}}",
          "[".repeat(300) + "]".repeat(300));

  @TempDir Path temp;

  private interface Reader {
    void read(String text) throws IOException;
  }

  /** Reads every mutation of a JSON text; some are values in place of others, some bytes. */
  private static void fuzz(String original, int mutations, Reader reader) throws IOException {
    Random random = new Random(original.length());
    int refused = 0;
    for (int i = 0; i < mutations; i++) {
      String mutated = i % 4 == 0 ? cut(original, random) : replaced(original, random);
      try {
        reader.read(mutated);
      } catch (LongAlignException expected) {
        refused++;
        assertThat(expected.getMessage()).hasSizeLessThan(5000);
      } catch (RuntimeException | Error other) {
        throw new AssertionError("mutation " + i + ": " + mutated, other);
      }
    }
    assertThat(refused).isBetween(1, mutations);
  }

  private static String cut(String text, Random random) {
    int at = random.nextInt(text.length());
    int end = Math.min(text.length(), at + random.nextInt(4));
    return switch (random.nextInt(3)) {
      case 0 -> text.substring(0, at) + text.substring(end);
      case 1 -> text.substring(0, end) + text.substring(at);
      default ->
          text.substring(0, at)
              + "{}[]\",:0-e\\\0".charAt(random.nextInt(12))
              + text.substring(end);
    };
  }

  private static String replaced(String text, Random random) {
    JsonElement root = JsonParser.parseString(text);
    replace(root, random);
    return root.toString()
        .replaceAll("\"@(\\d+)\"", "@$1@")
        .transform(MalformedModelFilesTest::values);
  }

  /** Values that no JSON object can hold are put in as text. */
  private static String values(String marked) {
    String out = marked;
    for (int i = 0; i < VALUES.size(); i++) {
      out = out.replace("@" + i + "@", VALUES.get(i));
    }
    return out;
  }

  private static void replace(JsonElement at, Random random) {
    String value = "@" + random.nextInt(VALUES.size());
    if (at.isJsonObject() && !at.getAsJsonObject().isEmpty()) {
      JsonObject object = at.getAsJsonObject();
      List<String> keys = new ArrayList<>(object.keySet());
      String key = keys.get(random.nextInt(keys.size()));
      JsonElement inner = object.get(key);
      if (!inner.isJsonPrimitive() && !inner.isJsonNull() && random.nextBoolean()) {
        replace(inner, random);
      } else if (random.nextInt(8) == 0) {
        object.add(VALUES.get(random.nextInt(VALUES.size())), object.remove(key));
      } else {
        object.addProperty(key, value);
      }
    } else if (at.isJsonArray() && !at.getAsJsonArray().isEmpty()) {
      JsonArray array = at.getAsJsonArray();
      array.set(random.nextInt(array.size()), new JsonPrimitive(value));
    }
  }

  private static String text(String path) throws IOException {
    return Files.readString(TestModels.folder().resolve(path));
  }

  @Test
  void configsOfNetworks() throws IOException {
    fuzz(
        text("unet/config.json"),
        MUTATIONS,
        text -> UNet2DConditionConfig.of(Config.parse("unet/config.json", text)));
    fuzz(
        text("vae/config.json"),
        MUTATIONS,
        text -> AutoencoderKLConfig.of(Config.parse("vae/config.json", text)));
    fuzz(
        text("text_encoder/config.json"),
        MUTATIONS,
        text -> ClipTextConfig.of(Config.parse("text_encoder/config.json", text)));
    fuzz(
        text("s28750_adapter/config.json"),
        MUTATIONS,
        text -> TextAdapterConfig.of(Config.parse("adapter/config.json", text)));
  }

  @Test
  void configsOfSchedulers() throws IOException {
    fuzz(
        text("scheduler/scheduler_config.json"),
        MUTATIONS,
        text -> {
          for (Scheduler scheduler : Scheduler.values()) {
            SchedulerConfig.of(Config.parse("scheduler_config.json", text).json(), scheduler);
          }
        });
  }

  @Test
  void indexesOfModels() throws IOException {
    for (String part : List.of("unet", "vae", "text_encoder", "tokenizer", "scheduler")) {
      Files.createDirectories(temp.resolve(part));
    }
    fuzz(
        text("model_index.json"),
        FEWER,
        text -> {
          Files.writeString(temp.resolve("model_index.json"), text);
          ModelDirectory model = ModelDirectory.open(temp);
          model.index().keys().forEach(model::className);
          model.describe();
        });
  }

  @Test
  void indexesOfShards() throws IOException {
    Files.copy(KINDS.resolve("locon-mid.safetensors"), temp.resolve("a-1-of-1.safetensors"));
    JsonObject map = new JsonObject();
    try (TensorFile file = TensorFiles.open(temp.resolve("a-1-of-1.safetensors"))) {
      file.names().forEach(name -> map.addProperty(name, "a-1-of-1.safetensors"));
    }
    JsonObject index = new JsonObject();
    index.add("metadata", JsonParser.parseString("{\"total_size\": 2660}"));
    index.add("weight_map", map);
    fuzz(
        index.toString(),
        FEWER,
        text -> {
          Path file = Files.writeString(temp.resolve("a.safetensors.index.json"), text);
          try (TensorFile shards = TensorFiles.open(file)) {
            shards.tensors().forEach(StoredTensor::toFloats);
          }
        });
  }

  @Test
  void configsOfLoras() throws IOException {
    List<LayerSpec> layers =
        UNet2DCondition.layers(UNet2DConditionConfig.of(TestModels.config("unet_train")));
    Path directory = KINDS.resolve("peft-patterns");
    Path weights = temp.resolve("adapter_model.safetensors");
    Files.copy(directory.resolve("adapter_model.safetensors"), weights);
    fuzz(
        Files.readString(directory.resolve("adapter_config.json")),
        FEWER,
        text -> {
          Files.writeString(temp.resolve("adapter_config.json"), text);
          Lora.read(weights, layers);
        });
  }

  private static StoredTensor shaped(String name, Random random) {
    long[] dims = new long[random.nextInt(5)];
    for (int i = 0; i < dims.length; i++) {
      dims[i] = random.nextInt(4);
    }
    Shape shape = Shape.of(dims);
    DType dtype = random.nextBoolean() ? DType.F16 : DType.F64;
    return StoredTensor.ofFloats(name, dtype, shape, new float[(int) shape.size()]);
  }

  /** Names, shapes and types that a LoRA has, in any combination. */
  @Test
  void tensorsOfLoras() {
    List<LayerSpec> layers =
        UNet2DCondition.layers(UNet2DConditionConfig.of(TestModels.config("unet_train")));
    List<StoredTensor> all = new ArrayList<>();
    for (String file : List.of("kohya-original.safetensors", "locon-mid.safetensors")) {
      all.addAll(TensorFiles.open(KINDS.resolve(file)).tensors());
    }
    List<String> words =
        List.of(
            "lora_up",
            "lora_down",
            "lora_mid",
            "alpha",
            "weight",
            "lora_unet_",
            ".",
            "_",
            "0",
            "hada_w1_a",
            "lora_A",
            "unet",
            "attn1",
            "",
            "model.",
            "lora_te_");
    Random random = new Random(3);
    int read = 0;
    for (int i = 0; i < FEWER; i++) {
      List<StoredTensor> tensors = new ArrayList<>(all);
      for (int n = random.nextInt(4); n >= 0; n--) {
        int at = random.nextInt(tensors.size());
        StoredTensor tensor = tensors.get(at);
        tensors.set(
            at,
            switch (random.nextInt(4)) {
              case 0 ->
                  tensor.named(
                      tensor
                          .name()
                          .replace(
                              words.get(random.nextInt(words.size() - 3)),
                              words.get(random.nextInt(words.size()))));
              case 1 -> shaped(tensor.name(), random);
              case 2 -> tensor.named("" + random.nextInt(3));
              default -> tensor.named(tensor.name() + words.get(random.nextInt(words.size())));
            });
      }
      try {
        Lora.of(TensorFiles.of("memory", tensors), layers, Lora.TextEncoderTensors.IGNORE);
        read++;
      } catch (LongAlignException expected) {
        assertThat(expected.getMessage()).hasSizeLessThan(8000);
      }
    }
    assertThat(read).isBetween(1, FEWER - 1);
  }
}
