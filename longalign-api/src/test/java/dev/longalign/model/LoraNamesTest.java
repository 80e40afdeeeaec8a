package dev.longalign.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import dev.longalign.io.SafetensorsWriter;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFile;
import dev.longalign.io.TensorFiles;
import dev.longalign.nn.LayerSpec;
import dev.longalign.nn.Parameter;
import dev.longalign.nn.RandomWeights;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.TensorScope;
import dev.longalign.tensor.Tolerance;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** LoRA files as other tools write them, made from this method's own. */
class LoraNamesTest {
  private static final UNet2DConditionConfig CONFIG =
      UNet2DConditionConfig.of(TestModels.config("unet"));
  private static final List<LayerSpec> LAYERS = UNet2DCondition.layers(CONFIG);
  private static final Lora ALIGN =
      Lora.read(TestModels.folder().resolve("s28750_lora_vis.pt"), LAYERS);

  /** How a tool calls the factors of a layer. */
  private interface Naming {
    String name(String module, boolean up);
  }

  private static Naming naming(String tool) {
    return switch (tool) {
      case "kohya" ->
          (m, up) ->
              "lora_unet_" + m.replace('.', '_') + (up ? ".lora_up.weight" : ".lora_down.weight");
      case "peft" ->
          (m, up) -> "base_model.model." + m + (up ? ".lora_B.weight" : ".lora_A.weight");
      case "peft-default" ->
          (m, up) ->
              "base_model.model." + m + (up ? ".lora_B.default.weight" : ".lora_A.default.weight");
      case "diffusers" -> (m, up) -> "unet." + m + (up ? ".lora_B.weight" : ".lora_A.weight");
      case "diffusers-middle" ->
          (m, up) -> "unet." + m + (up ? ".lora.up.weight" : ".lora.down.weight");
      case "diffusers-old" ->
          (m, up) ->
              m.matches(".*\\.(to_q|to_k|to_v|to_out\\.0)")
                  ? m.replaceFirst("\\.(to_[a-z]+)(\\.0)?$", ".processor.$1_lora")
                      + (up ? ".up.weight" : ".down.weight")
                  : m + (up ? ".lora.up.weight" : ".lora.down.weight");
      default -> throw new IllegalArgumentException(tool);
    };
  }

  private static List<StoredTensor> tensors(Naming naming) {
    List<StoredTensor> tensors = new ArrayList<>();
    ALIGN
        .entries()
        .forEach(
            (module, entry) -> {
              tensors.add(entry.down().named(naming.name(module, false)));
              tensors.add(entry.up().named(naming.name(module, true)));
            });
    return tensors;
  }

  private static Lora lora(List<StoredTensor> tensors) {
    return Lora.of(TensorFiles.of("memory", tensors), LAYERS, Lora.TextEncoderTensors.IGNORE);
  }

  @ParameterizedTest
  @CsvSource({"kohya", "peft", "peft-default", "diffusers", "diffusers-middle", "diffusers-old"})
  void findsTheLayers(String tool) {
    Lora lora = lora(tensors(naming(tool)));
    assertThat(lora.entries().keySet()).isEqualTo(ALIGN.entries().keySet());
    lora.entries()
        .forEach(
            (module, entry) -> {
              Lora.Entry expected = ALIGN.entries().get(module);
              assertThat(entry.up().toFloats()).as(module).isEqualTo(expected.up().toFloats());
              assertThat(entry.down().toFloats()).as(module).isEqualTo(expected.down().toFloats());
              assertThat(entry.scale()).isEqualTo(1);
            });
  }

  /** Alpha 16 at rank 32 is half the strength. */
  @Test
  void takesAlphaIntoAccount() {
    List<StoredTensor> tensors = tensors(naming("kohya"));
    for (String module : ALIGN.entries().keySet()) {
      String name = "lora_unet_" + module.replace('.', '_') + ".alpha";
      tensors.add(StoredTensor.ofFloats(name, DType.F32, Shape.of(), new float[] {16}));
    }
    Lora half = lora(tensors);
    assertThat(half.entries().values())
        .allSatisfy(entry -> assertThat(entry.scale()).isEqualTo(0.5f));
    try (Backend backend = TestModels.backend();
        TensorScope scope = TensorScope.open()) {
      RandomWeights base = new RandomWeights(3);
      for (LayerSpec layer : UNet2DCondition.loraLayers(CONFIG).subList(8, 30)) {
        Parameter weight = layer.parameters().get(0);
        Tolerance.relative(1e-6)
            .check(
                weight.name(),
                ALIGN.mergedInto(base, 0.25f).load(backend, weight),
                half.mergedInto(base, 0.5f).load(backend, weight));
      }
    }
  }

  @Test
  void readsAlphaThatPeftWritesBesideTheFile(@TempDir Path folder) throws Exception {
    Path file = folder.resolve("adapter_model.safetensors");
    SafetensorsWriter.write(file, tensors(naming("peft")), Map.of());
    Files.writeString(folder.resolve("adapter_config.json"), "{\"r\": 32, \"lora_alpha\": 64}");
    assertThat(Lora.read(file, LAYERS).entries().values())
        .allSatisfy(e -> assertThat(e.scale()).isEqualTo(2));
  }

  @Test
  void readsAlphaInTheMetadataOfDiffusers(@TempDir Path folder) {
    Path file = folder.resolve("pytorch_lora_weights.safetensors");
    Map<String, String> metadata =
        Map.of("lora_adapter_metadata", "{\"unet.r\": 32, \"unet.lora_alpha\": 8}");
    SafetensorsWriter.write(file, tensors(naming("diffusers")), metadata);
    assertThat(Lora.read(file, LAYERS).entries().values())
        .allSatisfy(e -> assertThat(e.scale()).isEqualTo(0.25f));
  }

  @Test
  void countsOrRefusesTheTextEncodersTensors() {
    List<StoredTensor> tensors = tensors(naming("kohya"));
    tensors.add(one("lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight"));
    tensors.add(one("lora_te_text_model_encoder_layers_0_mlp_fc1.alpha"));
    tensors.add(one("text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_A.weight"));
    assertThat(lora(tensors).ignoredTextEncoderTensors()).isEqualTo(3);
    assertThat(lora(tensors).entries()).hasSize(ALIGN.entries().size());
    TensorFile file = TensorFiles.of("memory", tensors);
    assertThatThrownBy(() -> Lora.of(file, LAYERS, Lora.TextEncoderTensors.REFUSE))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("memory: 3 tensors are for the text encoder");
  }

  @Test
  void listsWhatMatchesNoLayer() {
    List<StoredTensor> tensors = tensors(naming("kohya"));
    tensors.add(one("lora_unet_input_blocks_99_1_proj_in.lora_up.weight"));
    tensors.add(one("lora_unet_down_blocks_0_attentions_0_proj_in.factor"));
    assertThatThrownBy(() -> lora(tensors))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("2 of 448 tensors match no layer")
        .hasMessageContaining(
            "input_blocks_99_1_proj_in.lora_up.weight, lora_unet_down_blocks_0_attentions_0_proj_in.factor");
  }

  @Test
  void namesALayerWithOneFactorOnly() {
    List<StoredTensor> tensors = tensors(naming("peft"));
    tensors.remove(0);
    assertThatThrownBy(() -> lora(tensors))
        .hasMessageContaining(
            "layer down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q has up but not down");
  }

  @Test
  void refusesThePositionalLoraOfAnotherModel() {
    Path other = TestModels.folder().resolve("lora_train_init.pt");
    assertThatThrownBy(() -> Lora.read(other, LAYERS))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining(
            "lora_train_init.pt: expected 446 tensors, up and down for each of the 223 adapted")
        .hasMessageContaining("found 128 (a LoRA for another model?");
  }

  @Test
  void refusesTheNamedLoraOfAnotherModel() {
    List<StoredTensor> tensors = tensors(naming("kohya"));
    String name =
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight";
    tensors.replaceAll(
        t ->
            t.name().equals(name)
                ? StoredTensor.ofFloats(name, DType.F16, Shape.of(32, 96), new float[32 * 96])
                : t);
    assertThatThrownBy(() -> lora(tensors))
        .isInstanceOf(LongAlignException.class)
        .hasMessage(
            "entry "
                + name
                + " (down) in memory: for layer"
                + " down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k [32, 64] expected [r, 64], found [32, 96]"
                + " (a LoRA for another model? use the one that was trained for this UNet)");
  }

  @Test
  void refusesAFileWithoutALora() {
    assertThatThrownBy(() -> Lora.read(Golden.folder().resolve("unet/forward.safetensors"), LAYERS))
        .hasMessageContaining("match no layer of this UNet");
  }

  private static StoredTensor one(String name) {
    return StoredTensor.ofFloats(name, DType.F32, Shape.of(1), new float[] {1});
  }
}
