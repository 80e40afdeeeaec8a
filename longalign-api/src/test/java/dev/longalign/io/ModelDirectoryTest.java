package dev.longalign.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ModelDirectoryTest {
  private static final Path TINY = IoFixtures.GOLDEN.resolve("models/tiny-longsd");

  @TempDir Path directory;

  private void refuses(Path path, String... words) {
    assertThatThrownBy(() -> ModelDirectory.open(path))
        .isExactlyInstanceOf(LongAlignException.class)
        .hasMessageContainingAll(words);
  }

  private Path model(String pipelineClass, String... components) throws IOException {
    Path model =
        Files.createDirectory(directory.resolve("model" + IoFixtures.list(directory).size()));
    IoFixtures.write(
        model.resolve("model_index.json"), "{\"_class_name\": \"" + pipelineClass + "\"}");
    for (String component : components) {
      Files.createDirectory(model.resolve(component));
    }
    return model;
  }

  @Test
  void readsADiffusersDirectory() {
    ModelDirectory model = ModelDirectory.open(TINY);
    assertThat(model.pipelineClass()).isEqualTo("StableDiffusionPipeline");
    assertThat(model.components())
        .contains("unet", "vae", "text_encoder", "tokenizer", "scheduler", "t5", "denscore");
    assertThat(model.className("unet")).contains("UNet2DConditionModel");
    assertThat(model.className("safety_checker")).isEmpty();
    assertThat(model.config("scheduler").source()).isEqualTo("scheduler/scheduler_config.json");
    assertThat(model.config("tokenizer").source()).isEqualTo("tokenizer/tokenizer_config.json");
    int inChannels = model.config("unet").getInt("in_channels");
    try (TensorFile weights = model.weights("unet");
        TensorFile text = model.weights("text_encoder")) {
      assertThat(weights.tensor("conv_in.weight").shape().dim(1)).isEqualTo(inChannels);
      assertThat(weights.source()).isEqualTo("unet/diffusion_pytorch_model.safetensors");
      assertThat(text.source()).isEqualTo("text_encoder/model.safetensors");
    }
  }

  @Test
  void describesItsParts() {
    ModelDescription description = ModelDirectory.open(TINY).describe();
    Map<String, ModelDescription.Component> parts =
        description.components().stream()
            .collect(Collectors.toMap(ModelDescription.Component::name, part -> part));
    ModelDescription.Weights unet = parts.get("unet").weights().orElseThrow();
    try (TensorFile file = ModelDirectory.open(TINY).weights("unet")) {
      assertThat(unet.tensors()).isEqualTo(file.names().size());
      assertThat(unet.parameters())
          .isEqualTo(file.tensors().stream().mapToLong(t -> t.shape().size()).sum());
      assertThat(unet.dtypes())
          .containsOnlyKeys(file.tensors().stream().map(StoredTensor::dtype).toList());
    }
    assertThat(parts.get("unet").className()).isEqualTo("UNet2DConditionModel");
    assertThat(parts.get("unet").files()).anySatisfy(file -> assertThat(file.bytes()).isPositive());
    assertThat(parts.get("tokenizer").weights()).isEmpty();
    assertThat(parts.values()).allSatisfy(part -> assertThat(part.problem()).isEmpty());
    assertThat(parts.get("t5").className()).startsWith("T5");
  }

  @Test
  void refusesWithARemedy() throws IOException {
    Path file = IoFixtures.write(directory.resolve("v1-5-pruned.safetensors"), "x");
    refuses(file, "is a single file", "longalign convert " + file + " --out");
    refuses(directory.resolve("none"), "no such directory");
    refuses(directory, "has no model_index.json", "longalign convert FILE --out");
    refuses(TINY.resolve("unet"), "it is a part of a model: give");
    refuses(TINY.getParent(), "did you mean", "tiny-longsd");
    refuses(
        model("StableDiffusionPipeline", "unet", "vae", "tokenizer"),
        "lacks the directories [text_encoder, scheduler], found [tokenizer, unet, vae]");
    refuses(model("StableDiffusionXLPipeline", "unet"), "Stable Diffusion XL");
    refuses(
        model("SomethingElse", "unet", "text_encoder", "text_encoder_2"), "Stable Diffusion XL");
    refuses(model("FluxPipeline", "transformer"), "a Flux model", "stable-diffusion-v1-5");
    refuses(model("StableDiffusion3Pipeline", "transformer"), "Stable Diffusion 3");
    refuses(model("PixArtAlphaPipeline", "transformer"), "a diffusion transformer");
    refuses(model("StableDiffusionInpaintPipeline", "unet"), "an inpainting model");
    refuses(model("StableDiffusionInstructPix2PixPipeline", "unet"), "an InstructPix2Pix model");
    refuses(model("StableDiffusionUpscalePipeline", "unet"), "an upscaler");
    refuses(model("StableDiffusionDepth2ImgPipeline", "unet"), "a depth-to-image model");
    refuses(model("StableDiffusionControlNetPipeline", "unet"), "a ControlNet");
    refuses(model("KandinskyV22Pipeline", "unet"), "a Kandinsky model");
    assertThatThrownBy(() -> ModelDirectory.open(TINY).require("adapter", "vae", "t6"))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("lacks the directories [adapter, t6]");
  }

  @Test
  void aUNetThatReadsMoreThanLatentsIsNamed() throws IOException {
    Map<Integer, String> kinds =
        Map.of(
            9, "an inpainting model", 8, "an InstructPix2Pix model", 7, "an upscaler", 5, "depth");
    for (Map.Entry<Integer, String> kind : kinds.entrySet()) {
      Path model =
          model("StableDiffusionPipeline", "unet", "vae", "text_encoder", "tokenizer", "scheduler");
      IoFixtures.write(
          model.resolve("unet/config.json"), "{\"in_channels\": " + kind.getKey() + "}");
      IoFixtures.write(model.resolve("vae/config.json"), "{}");
      refuses(model, kind.getValue(), kind.getKey() + " input channels");
    }
  }

  @Test
  void choosesAmongTheWeightsThatThereAre() throws IOException {
    Path unet = Files.createDirectory(directory.resolve("unet"));
    ComponentDirectory component = ComponentDirectory.open(unet);
    assertThatThrownBy(component::weights)
        .isExactlyInstanceOf(LongAlignException.class)
        .hasMessageContaining("no weights; expected");
    assertThatThrownBy(component::config).hasMessageContaining("config.json");
    List<String> worstToBest =
        List.of(
            "some_name.safetensors",
            "pytorch_model.fp16.bin",
            "pytorch_model.bin",
            "diffusion_pytorch_model.bin",
            "model.fp16.safetensors",
            "diffusion_pytorch_model.safetensors.index.fp16.json",
            "diffusion_pytorch_model.fp16.safetensors",
            "model.safetensors",
            "diffusion_pytorch_model.safetensors.index.json",
            "diffusion_pytorch_model.safetensors");
    for (String name : worstToBest) {
      StoredTensor tensor = StoredTensor.ofFloats(name, DType.F16, Shape.of(1), new float[] {1});
      if (name.endsWith(".json")) {
        SafetensorsWriter.write(unet.resolve("shard.bin"), List.of(tensor));
        IoFixtures.write(unet.resolve(name), "{\"weight_map\": {\"" + name + "\": \"shard.bin\"}}");
      } else if (name.endsWith(".bin")) {
        TorchWriter.writeDict(unet.resolve(name), List.of(tensor));
      } else {
        SafetensorsWriter.write(unet.resolve(name), List.of(tensor));
      }
      try (TensorFile weights = component.weights()) {
        assertThat(weights.names()).containsExactly(name);
      }
    }
    try (TensorFile fp16 = component.weights("fp16")) {
      assertThat(fp16.names()).containsExactly("diffusion_pytorch_model.fp16.safetensors");
    }
    assertThatThrownBy(() -> component.weights("ema"))
        .hasMessageContaining("no weights of the variant 'ema'");
  }

  @Test
  void describesDamagedWeightsAsAProblem() throws IOException {
    Path model =
        model("StableDiffusionPipeline", "unet", "vae", "text_encoder", "tokenizer", "scheduler");
    IoFixtures.write(model.resolve("vae/diffusion_pytorch_model.safetensors"), "broken file");
    ModelDescription.Component vae = ModelDirectory.open(model).describe().components().get(4);
    assertThat(vae.name()).isEqualTo("vae");
    assertThat(vae.weights()).isEmpty();
    assertThat(vae.problem()).contains("not a valid safetensors file");
  }
}
