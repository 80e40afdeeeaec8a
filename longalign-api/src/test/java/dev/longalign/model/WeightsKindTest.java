package dev.longalign.model;

import static org.assertj.core.api.Assertions.assertThat;

import dev.longalign.io.StateDict;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFiles;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Every kind of file is named, also those that are not read. */
class WeightsKindTest {

  private static WeightsKind kind(String names, Shape shape) {
    List<StoredTensor> tensors = new ArrayList<>();
    for (String name : names.split(" ")) {
      tensors.add(StoredTensor.ofFloats(name, DType.F32, shape, new float[(int) shape.size()]));
    }
    return WeightsKind.of(StateDict.unwrap(TensorFiles.of("memory", tensors)));
  }

  @ParameterizedTest
  @CsvSource({
    "lora_unet_a.hada_w1_a lora_unet_a.alpha, LOHA",
    "lora_unet_a.lokr_w1, LOKR",
    "lora_unet_a.dora_scale lora_unet_a.lora_up.weight, DORA",
    "a.lora_magnitude_vector, DORA",
    "a.oft_R.weight, OFT",
    "a.ia3_l, IA3",
    "lora_unet_a.diff, DIFFERENCES",
    "lora_te2_a.lora_up.weight lora_unet_a.lora_up.weight, LORA_SDXL",
    "transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight, LORA_FLUX",
    "transformer.transformer_blocks.0.attn.to_q.lora_A.weight, LORA_TRANSFORMER",
    "lora_unet_input_blocks_1_1_proj_in.lora_up.weight, LORA_KOHYA",
    "base_model.model.a.lora_A.weight, LORA_PEFT",
    "unet.a.lora.up.weight, LORA_DIFFUSERS",
    "string_to_param.*, TEXTUAL_INVERSION",
    "image_proj.proj.weight ip_adapter.1.to_k_ip.weight, IP_ADAPTER",
    "control_model.input_blocks.0.0.weight, CONTROL_NET",
    "conditioner.embedders.0.a conditioner.embedders.1.b model.diffusion_model.c, SDXL",
    "conditioner.embedders.0.model.a model.diffusion_model.c, SDXL_REFINER",
    "cond_stage_model.model.a model.diffusion_model.b, SD2",
    "state_dict.cond_stage_model.model.a"
        + " state_dict.model.diffusion_model.input_blocks.0.0.weight, SD2",
    "model.diffusion_model.joint_blocks.0.a, SD3",
    "double_blocks.0.img_attn.qkv.weight, FLUX",
    "model.diffusion_model.input_blocks.0.0.weight cond_stage_model.transformer.a, CHECKPOINT",
    "module.conv_in.weight module.time_embedding.linear_1.weight, UNET",
    "decoder.conv_in.weight, VAE",
    "ff1.net.0.proj.weight, ADAPTER",
    "transformer_blocks.0.a, TRANSFORMER",
    "something, TENSORS"
  })
  void isToldByItsNames(String names, WeightsKind expected) {
    assertThat(kind(names, Shape.of(1))).isEqualTo(expected);
  }

  @ParameterizedTest
  @CsvSource({"4, CHECKPOINT", "9, INPAINTING", "8, PIX_TO_PIX", "7, UPSCALER", "5, DEPTH"})
  void isToldByItsInput(int channels, WeightsKind expected) {
    String name = "model.diffusion_model.input_blocks.0.0.weight";
    assertThat(kind(name, Shape.of(2, channels, 3, 3))).isEqualTo(expected);
  }

  @Test
  void everyKindThatIsNotReadSaysSo() {
    for (WeightsKind kind : WeightsKind.values()) {
      boolean read =
          kind.use() != WeightsKind.Use.OTHER_ADAPTER && kind.use() != WeightsKind.Use.OTHER_MODEL;
      assertThat(kind.refusal().isEmpty()).as(kind.name()).isEqualTo(read);
      assertThat(kind.refusal()).contains(read ? "" : kind.label());
    }
  }

  @Test
  void theFilesOfTheTinyModel() {
    Path tiny = TestModels.folder();
    assertThat(of(tiny.resolve("s28750_lora_vis.pt"))).isEqualTo(WeightsKind.LORA_LIST);
    assertThat(of(tiny.resolve("t5/model.safetensors"))).isEqualTo(WeightsKind.T5);
    assertThat(of(tiny.resolve("text_encoder/model.safetensors"))).isEqualTo(WeightsKind.CLIP);
    assertThat(of(tiny.resolve("unet/diffusion_pytorch_model.safetensors")))
        .isEqualTo(WeightsKind.UNET);
  }

  private static WeightsKind of(Path file) {
    return WeightsKind.of(StateDict.unwrap(TensorFiles.open(file)));
  }
}
