package dev.longalign.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.longalign.LongAlignException;
import dev.longalign.io.Config;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFile;
import dev.longalign.io.TensorFiles;
import dev.longalign.nn.FileWeights;
import dev.longalign.nn.RandomWeights;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What a UNet refuses, and how it says so. */
class UNet2DConditionInputTest {
  private static Backend backend;

  @BeforeAll
  static void open() {
    backend = TestModels.backend();
  }

  @AfterAll
  static void closeEverything() {
    assertThat(backend.memory().live()).as("bytes that no scope freed").isZero();
    backend.close();
  }

  @Test
  void refusesAnInpaintingUNet() {
    StoredTensor nine =
        StoredTensor.ofFloats(
            "conv_in.weight", DType.F32, Shape.of(32, 9, 3, 3), new float[32 * 81]);
    assertThatThrownBy(() -> loadWith(tensors -> replace(tensors, nine)))
        .isInstanceOf(LongAlignException.class)
        .hasMessage(
            "conv_in.weight in memory: expected [32, 4, 3, 3], found [32, 9, 3, 3] (an inpainting UNet?)");
  }

  @Test
  void namesTheFileOfAWrongShape() {
    UNet2DConditionConfig other = config(json -> json.addProperty("cross_attention_dim", 32));
    assertThatThrownBy(
            () -> UNet2DCondition.load(other, TestModels.weights("unet"), backend, DType.F32))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining(
            "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight in"
                + " unet/diffusion_pytorch_model.safetensors: expected [32, 32], found [32, 64]");
  }

  @Test
  void listsEverythingMissingAndUnexpectedAtOnce() {
    assertThatThrownBy(
            () ->
                loadWith(
                    tensors -> {
                      List<StoredTensor> changed = new ArrayList<>(tensors);
                      changed.removeIf(
                          t -> t.name().matches("conv_out.*|mid_block.resnets.0.norm1.bias"));
                      for (String name : new String[] {"class_embedding.weight", "extra"}) {
                        changed.add(
                            StoredTensor.ofFloats(name, DType.F32, Shape.of(1), new float[1]));
                      }
                      return changed;
                    }))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("3 missing tensors")
        .hasMessageContaining("conv_out.weight, conv_out.bias")
        .hasMessageContaining("mid_block.resnets.0.norm1.bias")
        .hasMessageContaining("2 unexpected tensors")
        .hasMessageContaining("class_embedding.weight, extra");
  }

  @ParameterizedTest
  @CsvSource({"F32, 0, NaN", "F32, 287, Infinity", "F16, 3, -Infinity", "BF16, 286, NaN"})
  void refusesNumbersThatAreNone(DType dtype, int at, float bad) {
    float[] values = new float[32 * 9];
    values[at] = bad;
    StoredTensor poisoned =
        StoredTensor.ofFloats("conv_in.weight", dtype, Shape.of(32, 1, 3, 3), values);
    UNet2DConditionConfig gray = config(json -> json.addProperty("in_channels", 1));
    assertThatThrownBy(
            () ->
                UNet2DCondition.load(
                    gray, new FileWeights(changed(t -> replace(t, poisoned))), backend, DType.F32))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining(
            "conv_in.weight in memory: expected finite numbers, found 1 NaN or infinite of 288")
        .hasMessageContaining("element " + at);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "act_fn | \"gelu\"",
        "resnet_time_scale_shift | \"scale_shift\"",
        "class_embed_type | \"timestep\"",
        "addition_embed_type | \"text_time\"",
        "dual_cross_attention | true",
        "only_cross_attention | [true, true, true, false]",
        "mid_block_type | \"UNetMidBlock2DSimpleCrossAttn\"",
        "mid_block_scale_factor | 2",
        "down_block_types | [\"KDownBlock2D\", \"DownBlock2D\", \"DownBlock2D\", \"DownBlock2D\"]",
        "up_block_types | [\"UpBlock2D\"]",
        "attention_head_dim | [8, 8]",
        "attention_head_dim | 7",
        "norm_num_groups | 7",
        "cross_attention_dim | [64, 64, 32, 64]",
        "layers_per_block | 0",
        "conv_in_kernel | 2",
      })
  void refusesWhatItCannotDoByKeyAndValue(String key, String value) {
    String shown = value.replace("\"", "");
    assertThatThrownBy(() -> config(json -> json.add(key, JsonParser.parseString(value))))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining(
            "unet/config.json: key '"
                + (key.equals("norm_num_groups") ? "block_out_channels" : key))
        .satisfies(
            e -> {
              String message = e.getMessage().replace("\"", "").replace(" ", "");
              assertThat(message)
                  .contains(
                      key.equals("norm_num_groups") ? "norm_num_groups7" : shown.replace(" ", ""));
            });
  }

  @Test
  void refusesInputsThatDoNotGoTogether() {
    UNet2DConditionConfig config = UNet2DConditionConfig.of(TestModels.config("unet_train"));
    try (UNet2DCondition unet =
            UNet2DCondition.load(config, new RandomWeights(1), backend, DType.F32);
        TensorScope scope = TensorScope.open()) {
      Tensor latents = backend.zeros(DType.F32, Shape.of(2, 8, 8, 4));
      PreparedContext one = unet.prepareContext(backend.zeros(DType.F32, Shape.of(1, 5, 64)));
      assertThatThrownBy(() -> unet.forward(latents, 1, one))
          .hasMessageContaining("2 latents, 2 timesteps and 1 captions");
      Tensor pixels = backend.zeros(DType.F32, Shape.of(1, 8, 8, 3));
      assertThatThrownBy(() -> unet.forward(pixels, 1, one))
          .hasMessageContaining("expected [B, H, W, 4], found [1, 8, 8, 3]");
      Tensor wide = backend.zeros(DType.F32, Shape.of(1, 5, 63));
      try (UNet2DCondition other =
          UNet2DCondition.load(config, new RandomWeights(1), backend, DType.F32)) {
        assertThatThrownBy(() -> other.forward(latents.rows(0, 1), 1, one))
            .hasMessageContaining("by another UNet");
      }
      assertThatThrownBy(() -> unet.prepareContext(wide))
          .hasMessageContaining("expected [B, S, 64], found [1, 5, 63]");
    }
  }

  private static UNet2DConditionConfig config(Consumer<JsonObject> change) {
    Config original = TestModels.config("unet");
    JsonObject json = original.json();
    change.accept(json);
    return UNet2DConditionConfig.of(Config.of(original.source(), json));
  }

  private static void loadWith(UnaryOperator<List<StoredTensor>> change) {
    UNet2DConditionConfig config = UNet2DConditionConfig.of(TestModels.config("unet"));
    UNet2DCondition.load(config, new FileWeights(changed(change)), backend, DType.F32).close();
  }

  private static TensorFile changed(UnaryOperator<List<StoredTensor>> change) {
    return TensorFiles.of("memory", change.apply(TestModels.file("unet").tensors()));
  }

  private static List<StoredTensor> replace(List<StoredTensor> tensors, StoredTensor replacement) {
    return tensors.stream()
        .map(t -> t.name().equals(replacement.name()) ? replacement : t)
        .toList();
  }
}
