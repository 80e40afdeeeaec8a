package dev.longalign.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.offset;

import com.google.gson.JsonParser;
import dev.longalign.LongAlignException;
import dev.longalign.io.ModelDirectory;
import dev.longalign.io.SafetensorsWriter;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFile;
import dev.longalign.io.TorchWriter;
import dev.longalign.model.AutoencoderKL;
import dev.longalign.model.AutoencoderKLConfig;
import dev.longalign.model.ClipTextConfig;
import dev.longalign.model.OriginalUNetNames;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.model.UNet2DConditionConfig;
import dev.longalign.nn.LayerSpec;
import dev.longalign.nn.Parameter;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.Shape;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * The tiny model under the names of the first training code, which diffusers' own script ({@code
 * convert_diffusers_to_original_stable_diffusion.py}) gave it, becomes the tiny model again. Its
 * UNet and autoencoder have the blocks of Stable Diffusion 1.5.
 */
class SingleFileCheckpointTest {
  private static final Path TINY = Golden.folder().resolve("models/tiny-longsd");
  private static final List<String> PARTS = List.of("unet", "vae", "text_encoder");

  @TempDir Path temp;

  /** A line of {@code original-names.tsv}. */
  private record Named(String part, String diffusers, String original) {}

  private static List<Named> names() {
    try (InputStream in =
        SingleFileCheckpointTest.class.getResourceAsStream("original-names.tsv")) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8)
          .lines()
          .map(line -> line.split("\t"))
          .map(fields -> new Named(fields[0], fields[1], fields[2]))
          .toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The tiny model's tensors as one file has them; they lie in memory. */
  private static List<StoredTensor> original() {
    ModelDirectory tiny = ModelDirectory.open(TINY);
    List<StoredTensor> tensors = new ArrayList<>();
    for (String part : PARTS) {
      try (TensorFile weights = tiny.weights(part)) {
        for (Named named : names()) {
          if (named.part.equals(part)) {
            StoredTensor found = weights.tensor(named.diffusers);
            boolean pointwise = part.equals("vae") && found.shape().rank() == 2;
            Shape shape =
                pointwise
                    ? Shape.of(found.shape().dim(0), found.shape().dim(1), 1, 1)
                    : found.shape();
            tensors.add(StoredTensor.of(named.original, found.dtype(), shape, found.data()));
          }
        }
      }
    }
    return tensors;
  }

  private Path file(UnaryOperator<String> name, StoredTensor... more) {
    List<StoredTensor> tensors =
        new ArrayList<>(original().stream().map(t -> t.named(name.apply(t.name()))).toList());
    tensors.addAll(List.of(more));
    Path file = temp.resolve("checkpoint.safetensors");
    SafetensorsWriter.write(file, tensors);
    return file;
  }

  private static StoredTensor extra(String name) {
    return StoredTensor.ofFloats(name, DType.F32, Shape.of(2), new float[] {1, 2});
  }

  private void isTiny(Path directory) {
    ModelDirectory tiny = ModelDirectory.open(TINY);
    ModelDirectory model = ModelDirectory.open(directory);
    for (String part : PARTS) {
      assertThat(model.config(part).json()).isEqualTo(tiny.config(part).json());
      try (TensorFile expected = tiny.weights(part);
          TensorFile found = model.weights(part)) {
        List<String> names =
            expected.names().stream().filter(name -> !name.endsWith("position_ids")).toList();
        assertThat(found.names()).as(part).containsExactlyInAnyOrderElementsOf(names);
        for (String name : names) {
          StoredTensor tensor = found.tensor(name);
          assertThat(tensor.shape()).as(name).isEqualTo(expected.tensor(name).shape());
          assertThat(tensor.data()).as(name).isEqualTo(expected.tensor(name).data());
        }
      }
    }
    assertThat(directory.resolve("tokenizer/merges.txt"))
        .hasSameBinaryContentAs(TINY.resolve("tokenizer/merges.txt"));
    assertThat(directory.resolve("scheduler/scheduler_config.json")).exists();
    assertThat(directory.resolve("denscore")).doesNotExist();
  }

  @Test
  void becomesADiffusersDirectory() {
    Path directory = temp.resolve("model");
    SingleFileCheckpoint.Conversion done =
        SingleFileCheckpoint.convert(
            file(name -> name, extra("model_ema.decay"), extra("alphas_cumprod"), extra("betas")),
            TINY,
            null,
            null,
            directory);
    isTiny(directory);
    assertThat(done.directory()).isEqualTo(directory);
    assertThat(done.tensors())
        .isEqualTo((int) names().stream().filter(n -> !n.diffusers.endsWith("_ids")).count());
    assertThat(done.unused()).isEqualTo(Map.of("model_ema", 1, "alphas_cumprod", 1, "betas", 1));
  }

  @Test
  void readsTorchFilesWithTheTrainersState() {
    Path file = temp.resolve("last.ckpt");
    List<StoredTensor> tensors =
        new ArrayList<>(original().stream().map(t -> t.named("state_dict." + t.name())).toList());
    tensors.add(extra("optimizer_states.0"));
    TorchWriter.writeDict(file, tensors);
    Path directory = temp.resolve("model");
    SingleFileCheckpoint.Conversion done =
        SingleFileCheckpoint.convert(file, TINY, null, null, directory);
    isTiny(directory);
    assertThat(done.unused()).isEqualTo(Map.of("optimizer_states", 1));
  }

  @Test
  void takesTheTextEncodersNamesWithoutALevel() {
    Path directory = temp.resolve("model");
    SingleFileCheckpoint.convert(
        file(name -> name.replace("transformer.text_model.", "transformer.")),
        TINY,
        null,
        null,
        directory);
    isTiny(directory);
  }

  @Test
  void convertsNumbers() {
    Path directory = temp.resolve("model");
    SingleFileCheckpoint.convert(file(name -> name), TINY, DType.F16, null, directory);
    try (TensorFile found = ModelDirectory.open(directory).weights("unet");
        TensorFile expected = ModelDirectory.open(TINY).weights("unet")) {
      assertThat(found.tensors()).allMatch(tensor -> tensor.dtype() == DType.F16);
      float[] values = found.tensor("conv_in.weight").toFloats();
      float[] exact = expected.tensor("conv_in.weight").toFloats();
      for (int i = 0; i < values.length; i++) {
        assertThat(values[i]).isCloseTo(exact[i], offset(1e-3f));
      }
    }
  }

  @Test
  void tellsWhatIsMissingOrOfAnotherSize() {
    Path whole = file(name -> name);
    assertThatThrownBy(() -> convert(whole, null))
        .hasMessageContainingAll(
            "model.diffusion_model.input_blocks.0.0.weight in ",
            "expected [320, 4, 3, 3] by the config of the unet, found [32, 4, 3, 3]");
    Path noVae = file(name -> name.replace("first_stage_model.", "other."));
    assertThatThrownBy(() -> convert(noVae, TINY))
        .hasMessageContainingAll(
            "tensors of the vae, found 0", "first_stage_model.encoder.conv_in.weight");
    assertThat(temp.resolve("model")).doesNotExist();
    assertThat(temp.toFile().list()).containsExactly("checkpoint.safetensors");
  }

  private void convert(Path file, Path like) {
    SingleFileCheckpoint.convert(file, like, null, null, temp.resolve("model"));
  }

  @ParameterizedTest
  @CsvSource({
    "conditioner.embedders.0.transformer.x, Stable Diffusion XL",
    "cond_stage_model.model.ln_final.weight, Stable Diffusion 2.x",
    "model.diffusion_model.joint_blocks.0.x, Stable Diffusion 3",
    "double_blocks.0.img_attn.norm.x, Flux",
    "lora_unet_x.lora_up.weight, no whole checkpoint"
  })
  void refusesOtherKinds(String tensor, String what) {
    Path file = temp.resolve("other.safetensors");
    SafetensorsWriter.write(file, List.of(extra(tensor)));
    assertThatThrownBy(() -> convert(file, null))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContainingAll("other.safetensors", what, "expected");
  }

  @Test
  void writesIntoNothingThatIsThere() throws IOException {
    Path kept = temp.resolve("model/kept.txt");
    Files.createDirectories(kept.getParent());
    Files.writeString(kept, "mine");
    Path file = file(name -> name);
    assertThatThrownBy(() -> convert(file, TINY)).hasMessageContaining("new or empty directory");
    assertThat(kept).hasContent("mine");
  }

  @Test
  void theBuiltInConfigsAreThoseOfStableDiffusion15() throws IOException {
    UNet2DConditionConfig unet =
        UNet2DConditionConfig.of(SingleFileCheckpoint.builtInConfig("unet"));
    assertThat(unet).isEqualTo(UNet2DConditionConfig.stableDiffusion15());
    AutoencoderKLConfig vae = AutoencoderKLConfig.of(SingleFileCheckpoint.builtInConfig("vae"));
    assertThat(vae).isEqualTo(AutoencoderKLConfig.stableDiffusion15());
    List<Parameter> ofUNet = LayerSpec.parameters(UNet2DCondition.layers(unet));
    assertThat(size(ofUNet)).isEqualTo(859_520_964);
    assertThat(size(LayerSpec.parameters(AutoencoderKL.layers(vae)))).isEqualTo(83_653_863);
    assertThat(
            size(
                ClipTextConfig.of(SingleFileCheckpoint.builtInConfig("text_encoder")).parameters()))
        .isEqualTo(123_060_480);
    List<String> tiny =
        names().stream().filter(n -> n.part.equals("unet")).map(Named::original).toList();
    OriginalUNetNames names = OriginalUNetNames.of(UNet2DCondition.layers(unet));
    List<String> original = ofUNet.stream().map(p -> OriginalNames.unet(p.name(), names)).toList();
    assertThat(original).doesNotHaveDuplicates().containsAll(tiny);
    assertThat(original)
        .filteredOn(name -> !tiny.contains(name)) // where only its channels grow
        .allMatch(name -> name.contains(".skip_connection."));
    assertThat(
            JsonParser.parseString(
                ClipMerges.vocabulary(
                        Files.readString(Golden.folder().resolve("text/clip_vocab/merges.txt")))
                    .toString()))
        .isEqualTo(
            JsonParser.parseString(
                Files.readString(Golden.folder().resolve("text/clip_vocab/vocab.json"))));
  }

  private static long size(List<Parameter> parameters) {
    return parameters.stream().mapToLong(p -> p.shape().size()).sum();
  }
}
