package dev.longalign.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlign;
import dev.longalign.LongAlignBuilder;
import dev.longalign.LongAlignException;
import dev.longalign.Provenance;
import dev.longalign.io.SafetensorsWriter;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFile;
import dev.longalign.io.TensorFiles;
import dev.longalign.pipeline.TextEncoding;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.Shape;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** Models that cannot work are refused when the engine is built, by name; nothing stays open. */
final class BadModelTest {
  private static final String UNET = "unet/diffusion_pytorch_model.safetensors";
  private static final Path OTHER = Golden.folder().resolve("models/tiny-longsd");

  @TempDir Path temp;
  private Path model;

  @BeforeEach
  void copy() throws IOException {
    model = temp.resolve("longsd");
    Path source = MiniModel.directory();
    try (Stream<Path> files = Files.walk(source)) {
      for (Path file : files.sorted().toList()) {
        Path relative = source.relativize(file);
        if (!relative.startsWith("denscore")) {
          Files.copy(file, model.resolve(relative.toString()));
        }
      }
    }
  }

  private LongAlignBuilder builder() {
    return LongAlign.builder().model(model).device(F32OnlyProvider.DEVICE);
  }

  /** Building fails with all the parts in the message, and frees what it had opened. */
  private static void refuses(LongAlignBuilder builder, Object... parts) {
    F32OnlyProvider.LAST.set(null);
    var refusal =
        assertThatThrownBy(() -> builder.build().close()).isInstanceOf(LongAlignException.class);
    for (Object part : parts) {
      refusal.hasMessageContaining(part.toString());
    }
    if (F32OnlyProvider.LAST.get() != null) {
      assertThat(F32OnlyProvider.LAST.get().memory().live()).isZero();
      assertThat(F32OnlyProvider.LAST.get().memory().cached()).isZero();
    }
  }

  /** Rewrites one tensor of a file of weights; null removes it. */
  private void edit(String file, String name, UnaryOperator<StoredTensor> edit) throws IOException {
    Path path = model.resolve(file);
    Path original = temp.resolve("original.safetensors");
    Files.move(path, original);
    List<StoredTensor> tensors = new ArrayList<>();
    boolean found = false;
    try (TensorFile weights = TensorFiles.open(original)) {
      for (StoredTensor tensor : weights.tensors()) {
        boolean meant = tensor.name().equals(name);
        found |= meant;
        StoredTensor edited = meant ? edit.apply(tensor) : tensor;
        if (edited != null) {
          tensors.add(edited);
        }
      }
      SafetensorsWriter.write(path, tensors, Map.of());
    }
    assertThat(found).isTrue();
  }

  private static StoredTensor zeros(StoredTensor like, DType dtype, Shape shape) {
    ByteBuffer bytes = ByteBuffer.allocate((int) shape.size() * dtype.bytes());
    return StoredTensor.of(like.name(), dtype, shape, bytes);
  }

  @Test
  void noSuchDirectory() {
    Path nowhere = temp.resolve("nowhere");
    refuses(LongAlign.builder().model(nowhere), nowhere, "no such directory");
    refuses(LongAlign.builder().model(model.resolve("unet")), "it is a part of a model", model);
  }

  @Test
  void missingFiles() throws IOException {
    Files.delete(model.resolve(UNET));
    refuses(builder(), model.resolve("unet"), "no weights", "expected", "found [config.json]");
    Files.delete(model.resolve("unet/config.json"));
    refuses(builder(), model.resolve("unet"), "config.json");
  }

  @Test
  void missingParts() throws IOException {
    Files.move(model.resolve("vae"), temp.resolve("vae"));
    Files.move(model.resolve("tokenizer"), temp.resolve("tokenizer"));
    refuses(builder(), model, "lacks the directories [vae, tokenizer]", "incomplete download?");
  }

  @Test
  void truncatedWeights() throws IOException {
    Path file = model.resolve(UNET);
    byte[] bytes = Files.readAllBytes(file);
    Files.write(file, Arrays.copyOf(bytes, bytes.length - 1000));
    refuses(builder(), UNET, "ends at data byte", "the file has", "(an incomplete download?)");
    Files.write(file, new byte[0]);
    refuses(builder(), UNET);
  }

  @Test
  void wrongShape() throws IOException {
    edit(UNET, "conv_in.weight", t -> zeros(t, DType.F16, Shape.of(64, 9, 3, 3)));
    refuses(
        builder(),
        "conv_in.weight in " + UNET,
        "expected [64, 4, 3, 3], found [64, 9, 3, 3] (an inpainting UNet?)");
  }

  @Test
  void wrongType() throws IOException {
    edit(UNET, "conv_out.weight", t -> zeros(t, DType.I64, t.shape()));
    refuses(builder(), "conv_out.weight in " + UNET, "expected a floating point type, found I64");
  }

  @Test
  void missingTensor() throws IOException {
    edit("vae/diffusion_pytorch_model.safetensors", "decoder.conv_in.bias", t -> null);
    refuses(
        builder(),
        "vae/diffusion_pytorch_model.safetensors: 1 missing tensor",
        "decoder.conv_in.bias");
  }

  @Test
  void weightsThatAreNoNumbers() throws IOException {
    edit(
        UNET,
        "conv_out.bias",
        t ->
            StoredTensor.ofFloats(
                t.name(), DType.F16, t.shape(), new float[] {0, Float.NaN, 0, 0}));
    refuses(
        builder(),
        "conv_out.bias in " + UNET,
        "expected finite numbers, found 1",
        "element 1",
        "fetch it again");
  }

  /** The encoders are opened by the first prompt; the engine stays usable. */
  @Test
  void encoderWeightsThatAreNoNumbers() throws IOException {
    String file = "text_encoder/model.safetensors";
    edit(
        file,
        "text_model.final_layer_norm.bias",
        t -> {
          float[] values = t.toFloats();
          values[3] = Float.POSITIVE_INFINITY;
          return StoredTensor.ofFloats(t.name(), DType.F16, t.shape(), values);
        });
    try (LongAlign longAlign = builder().build()) {
      long live = longAlign.memory().live();
      for (int i = 0; i < 2; i++) {
        assertThatThrownBy(() -> longAlign.sample("A red circle."))
            .isInstanceOf(LongAlignException.class)
            .hasMessageContaining(model.resolve("text_encoder").toString())
            .hasMessageContaining("expected finite numbers")
            .hasMessageContaining("download them again");
      }
      assertThat(longAlign.memory().live()).isEqualTo(live);
    }
  }

  @Test
  void otherKindsOfModel() throws IOException {
    Path index = model.resolve("model_index.json");
    String text = Files.readString(index);
    for (Map.Entry<String, String> kind :
        Map.of(
                "StableDiffusionXLPipeline", "Stable Diffusion XL",
                "FluxPipeline", "a Flux model",
                "StableDiffusion3Pipeline", "Stable Diffusion 3")
            .entrySet()) {
      Files.writeString(index, text.replace("StableDiffusionPipeline", kind.getKey()));
      refuses(builder(), model, kind.getValue(), kind.getKey(), "needs a Stable Diffusion 1.x");
    }
    Files.writeString(index, "{ not json");
    refuses(builder(), "longsd/model_index.json: not valid JSON");
    Files.delete(index);
    refuses(builder(), model, "has no model_index.json");
  }

  @Test
  void loraOfAnotherModel() {
    Path lora = OTHER.resolve("s28750_lora_vis.pt");
    refuses(
        builder().lora(lora),
        "s28750_lora_vis.pt: expected 206 tensors",
        "found 446 (a LoRA for another model?");
    Path nowhere = temp.resolve("nowhere.pt");
    refuses(builder().lora(nowhere), nowhere, "expected a LoRA file");
    assertThatThrownBy(() -> builder().lora(lora, Float.NaN))
        .isInstanceOf(LongAlignException.class)
        .hasMessage(lora + ": expected a finite LoRA scale, found NaN");
  }

  @Test
  void adapters() throws IOException {
    Path nowhere = temp.resolve("nowhere");
    refuses(builder().adapter(nowhere), nowhere);
    Path other = OTHER.resolve("s28750_adapter");
    refuses(builder().adapter(other), other, "for another model", "expected", "found");
    Files.move(model.resolve("t5"), temp.resolve("t5"));
    refuses(builder(), model.resolve("adapter"), "expected a T5 directory", "found none", "--t5");
    Files.move(model.resolve("adapter"), temp.resolve("adapter"));
    refuses(
        builder().textEncoding(TextEncoding.LONGALIGN),
        model,
        "needs a text adapter",
        "use SEGMENTS");
    try (LongAlign longAlign =
        builder().adapter(temp.resolve("adapter")).t5(temp.resolve("t5")).build()) {
      assertThat(longAlign.provenance().adapter().map(Provenance.Part::name)).contains("adapter");
    }
  }

  @Test
  void unetOfAnotherModel() throws IOException {
    Files.copy(
        OTHER.resolve("unet/config.json"),
        model.resolve("unet/config.json"),
        StandardCopyOption.REPLACE_EXISTING);
    refuses(builder().withoutOwnLora(), UNET, "362 missing tensors", "as its config describes");
  }

  /** Nothing is written beside a model, so one on a read-only disk serves as well. */
  @Test
  @DisabledOnOs(OS.WINDOWS)
  void readOnlyDirectory() throws IOException {
    List<String> before = listing();
    try (Stream<Path> files = Files.walk(model)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.setPosixFilePermissions(
            file,
            PosixFilePermissions.fromString(Files.isDirectory(file) ? "r-xr-xr-x" : "r--r--r--"));
      }
    }
    try (LongAlign longAlign = builder().build()) {
      assertThat(longAlign.sample(Engines.quick(0, 1).build()).images()).hasSize(1);
    } finally {
      try (Stream<Path> files = Files.walk(model)) {
        for (Path file : files.toList()) {
          Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwxr-xr-x"));
        }
      }
    }
    assertThat(listing()).isEqualTo(before);
  }

  private List<String> listing() throws IOException {
    List<String> names = new ArrayList<>();
    try (Stream<Path> files = Files.walk(model)) {
      for (Path file : files.sorted().toList()) {
        names.add(file + " " + Files.size(file) + " " + Files.getLastModifiedTime(file));
      }
    }
    return names;
  }
}
