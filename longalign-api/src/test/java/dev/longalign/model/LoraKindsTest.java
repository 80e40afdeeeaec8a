package dev.longalign.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.longalign.LongAlignException;
import dev.longalign.io.SafetensorsWriter;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFile;
import dev.longalign.io.TensorFiles;
import dev.longalign.io.TorchWriter;
import dev.longalign.nn.LayerSpec;
import dev.longalign.nn.Parameter;
import dev.longalign.nn.WeightSource;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.TensorScope;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * LoRA files of other tools change the weights as peft and diffusers do ({@code
 * src/test/oracle/lora_kinds.py}), to a relative 1e-5 of each layer's change; those that cannot be
 * honoured are refused by name.
 */
class LoraKindsTest {
  private static final Path KINDS = Path.of("src/test/resources/dev/longalign/model/lora-kinds");
  private static final UNet2DConditionConfig CONFIG =
      UNet2DConditionConfig.of(TestModels.config("unet_train"));
  private static final List<LayerSpec> LAYERS = UNet2DCondition.layers(CONFIG);
  private static final String PEFT = "peft-patterns/adapter_model.safetensors";

  @TempDir Path temp;

  private static JsonObject expected() throws IOException {
    return JsonParser.parseString(Files.readString(KINDS.resolve("expected.json")))
        .getAsJsonObject();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        PEFT,
        "peft-rslora/adapter_model.safetensors",
        "peft-gaussian/adapter_model.safetensors",
        "diffusers-patterns/pytorch_lora_weights.safetensors",
        "kohya-original.safetensors",
        "locon-mid.safetensors"
      })
  void changesTheWeightsAsItsOwnLibraryDoes(String file) throws IOException {
    JsonObject expected = expected().getAsJsonObject(file);
    Lora lora = Lora.read(KINDS.resolve(file), LAYERS);
    assertThat(lora.entries().keySet())
        .containsExactlyInAnyOrderElementsOf(
            expected.keySet().stream().map(name -> name.replaceFirst("\\.weight$", "")).toList());
    try (Backend backend = TestModels.backend();
        TensorScope scope = TensorScope.open()) {
      WeightSource base = TestModels.weights("unet_train");
      List<Parameter> parameters = LayerSpec.parameters(LAYERS);
      base.check(parameters);
      WeightSource merged = lora.mergedInto(base, 1);
      for (Parameter parameter : parameters) {
        if (expected.has(parameter.name())) {
          float[] before = base.load(backend, parameter).toFloats();
          float[] after = merged.load(backend, parameter).toFloats();
          check(parameter.name(), expected.getAsJsonObject(parameter.name()), before, after);
        }
      }
    }
  }

  private static void check(String layer, JsonObject expected, float[] before, float[] after) {
    double squares = 0;
    for (int i = 0; i < before.length; i++) {
      squares += Math.pow((double) after[i] - before[i], 2);
    }
    double norm = expected.get("norm").getAsDouble();
    assertThat(Math.sqrt(squares)).as(layer + ": norm").isCloseTo(norm, within(1e-5 * norm));
    JsonArray at = expected.getAsJsonArray("at");
    for (int i = 0; i < at.size(); i++) {
      int index = at.get(i).getAsInt();
      assertThat((double) after[index] - before[index])
          .as(layer + "[" + index + "]")
          .isCloseTo(expected.getAsJsonArray("delta").get(i).getAsDouble(), within(1e-5 * norm));
    }
  }

  @Test
  void takesADirectoryOfPeftOrDiffusers() {
    assertThat(Lora.read(KINDS.resolve("peft-patterns"), LAYERS).entries()).hasSize(24);
    assertThat(Lora.read(KINDS.resolve("diffusers-patterns"), LAYERS).entries()).hasSize(9);
    assertThatThrownBy(() -> Lora.read(KINDS, LAYERS))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("adapter_model.safetensors");
  }

  /** With a config in which one text stands for another. */
  private Path peft(String from, String to) throws IOException {
    Path directory = Files.createDirectories(temp.resolve("peft"));
    Files.copy(KINDS.resolve(PEFT), directory.resolve("adapter_model.safetensors"));
    String config = Files.readString(KINDS.resolve("peft-patterns/adapter_config.json"));
    assertThat(config).contains(from);
    Files.writeString(directory.resolve("adapter_config.json"), config.replace(from, to));
    return directory;
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "\"r\": 2 | \"r\": 4 | expected rank 4.0, found factors of rank 2",
        "\"attn1.to_k\": 3 | \"attn1.to_k\": 2 | expected rank 2.0, found factors of rank 3",
        "\"attn1.to_k\": 3 | \"attn1.to_(\": 3 | 'attn1.to_(' is no pattern",
        "\"attn1.to_k\": 3 | \"((.*)*)*x\": 3 | patterns take too long",
        "\"lora_alpha\": 6 | \"lora_alpha\": 1e999 | key 'lora_alpha': expected a number",
        "\"lora_alpha\": 6 | \"lora_alpha\": \"six\" | key 'lora_alpha': expected a number",
        "\"use_dora\": false | \"use_dora\": true | key 'use_dora'",
        "\"lora_bias\": false | \"lora_bias\": true | key 'lora_bias'",
        "\"bias\": \"none\" | \"bias\": \"all\" | key 'bias': expected none",
        "\"modules_to_save\": null | \"modules_to_save\": [\"conv_in\"] | key 'modules_to_save'",
        "\"peft_type\": \"LORA\" | \"peft_type\": \"LOHA\" | key 'peft_type': expected LORA",
        "\"init_lora_weights\": true | \"init_lora_weights\": \"pissa_niter_4\" |"
            + " key 'init_lora_weights'"
      })
  void refusesAConfigThatItCannotHonour(String from, String to, String message) throws IOException {
    Path directory = peft(from, to);
    Assertions.assertTimeoutPreemptively(
        Duration.ofSeconds(20),
        () ->
            assertThatThrownBy(() -> Lora.read(directory, LAYERS))
                .isExactlyInstanceOf(LongAlignException.class)
                .hasMessageContaining(message)
                .hasMessageContaining("adapter_config.json"));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "conv_in.hada_w1_a | a LoHa",
        "conv_in.lokr_w1 | a LoKr",
        "conv_in.dora_scale | a DoRA",
        "conv_in.lora_magnitude_vector.weight | a DoRA",
        "conv_in.oft_blocks | an OFT",
        "conv_in.diff | whole differences",
        "lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_up.weight | Stable Diffusion XL",
        "lora_unet_double_blocks_0_img_attn_proj.lora_up.weight | a LoRA for Flux"
      })
  void namesWhatIsNoLoraForIt(String name, String kind) {
    StoredTensor one = StoredTensor.ofFloats(name, DType.F32, Shape.of(1), new float[] {1});
    assertThatThrownBy(() -> lora(List.of(one)))
        .isExactlyInstanceOf(LongAlignException.class)
        .hasMessageContaining("memory is")
        .hasMessageContaining(kind);
  }

  private static Lora lora(List<StoredTensor> tensors) {
    TensorFile file = TensorFiles.of("memory", tensors);
    return Lora.of(file, LAYERS, Lora.TextEncoderTensors.IGNORE);
  }

  private static List<StoredTensor> kohya() {
    return new ArrayList<>(TensorFiles.open(KINDS.resolve("kohya-original.safetensors")).tensors());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "state_dict.",
        "model.",
        "module.",
        "net.",
        "model_ema.",
        "lora.",
        "a.b.c.",
        "unet_lora."
      })
  void unwrapsWhatTrainersWrap(String prefix) {
    List<StoredTensor> tensors =
        new ArrayList<>(kohya().stream().map(t -> t.named(prefix + t.name())).toList());
    tensors.add(one("optimizer.state.0.exp_avg"));
    tensors.add(one("loss.scale"));
    Path file = temp.resolve("wrapped.pt");
    TorchWriter.writeDict(file, tensors);
    assertThat(Lora.read(file, LAYERS).entries().keySet())
        .isEqualTo(lora(kohya()).entries().keySet());
  }

  @Test
  void takesTheModelAndNotItsMovingAverage() {
    List<StoredTensor> tensors = new ArrayList<>();
    kohya().forEach(t -> tensors.add(t.named("ema." + t.name())));
    kohya().forEach(t -> tensors.add(t.named("model." + t.name())));
    lora(tensors)
        .entries()
        .values()
        .forEach(entry -> assertThat(entry.up().name()).startsWith("lora_unet_"));
    List<StoredTensor> beside = kohya();
    kohya().forEach(t -> beside.add(t.named("copy." + t.name())));
    assertThat(lora(beside).entries()).hasSize(lora(kohya()).entries().size());
  }

  private static StoredTensor one(String name) {
    return StoredTensor.ofFloats(name, DType.F32, Shape.of(1), new float[] {1});
  }

  @Test
  void everyNumberIsLookedAtWhenItIsRead() {
    for (String part : List.of(".lora_up.weight", ".lora_down.weight", ".alpha")) {
      for (float bad : new float[] {Float.NaN, Float.NEGATIVE_INFINITY}) {
        List<StoredTensor> tensors = kohya();
        int i = 0;
        while (!tensors.get(i).name().endsWith(part)
            || !tensors.get(i).name().startsWith("lora_unet")) {
          i++;
        }
        StoredTensor good = tensors.get(i);
        float[] values = good.toFloats();
        values[values.length - 1] = bad;
        tensors.set(i, StoredTensor.ofFloats(good.name(), DType.F32, good.shape(), values));
        assertThatThrownBy(() -> lora(tensors))
            .isExactlyInstanceOf(LongAlignException.class)
            .hasMessageContaining("finite");
      }
    }
    byte[] nan = new byte[32];
    nan[5] = 0x7f; // the only NaN of this type
    StoredTensor eight =
        StoredTensor.of("x.lora_A.weight", DType.F8_E4M3, Shape.of(1, 32), ByteBuffer.wrap(nan));
    String layer = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q";
    StoredTensor up =
        StoredTensor.ofFloats(layer + ".lora_B.weight", DType.F32, Shape.of(32, 1), new float[32]);
    assertThatThrownBy(() -> lora(List.of(eight.named(layer + ".lora_A.weight"), up)))
        .hasMessageContaining("found 1 NaN");
  }

  @Test
  void messagesStayShort() {
    List<StoredTensor> tensors = new ArrayList<>();
    for (int i = 0; i < 3000; i++) {
      tensors.add(one("some.other.layer" + i + ".lora_A.weight"));
      tensors.add(one("conv_in." + i + ".lora_A.weight"));
    }
    assertThatThrownBy(() -> lora(tensors))
        .satisfies(e -> assertThat(e.getMessage()).hasSizeLessThan(1500));
    Path file = temp.resolve("many.safetensors");
    SafetensorsWriter.write(file, tensors, Map.of());
    assertThatThrownBy(() -> Lora.read(file, LAYERS))
        .satisfies(e -> assertThat(e.getMessage()).hasSizeLessThan(1500));
  }
}
