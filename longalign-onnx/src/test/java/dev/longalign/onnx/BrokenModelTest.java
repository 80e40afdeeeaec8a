package dev.longalign.onnx;

import static dev.longalign.onnx.Expected.ENCODERS;
import static dev.longalign.onnx.Expected.assertClose;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import dev.longalign.io.SafetensorsWriter;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFile;
import dev.longalign.io.TensorFiles;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.text.TextEncoder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import org.assertj.core.api.AbstractThrowableAssert;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Damaged models are refused by name, before ONNX Runtime sees them; unusual but sound ones are
 * read.
 */
class BrokenModelTest {
  private static final Path CLIP = ENCODERS.resolve("clip_quick_gelu");
  private static final Path T5 = ENCODERS.resolve("t5_gated_f16");

  @TempDir Path directory;

  @BeforeEach
  void copyClip() throws IOException {
    Files.copy(CLIP.resolve("config.json"), directory.resolve("config.json"));
    Files.copy(CLIP.resolve("model.safetensors"), directory.resolve("model.safetensors"));
  }

  private AbstractThrowableAssert<?, ?> refusal() {
    return assertThatThrownBy(() -> OnnxTextEncoder.clip(directory, 1).close())
        .isInstanceOf(LongAlignException.class);
  }

  private void editConfig(String from, String to) throws IOException {
    Path file = directory.resolve("config.json");
    String text = Files.readString(file);
    String edited = text.replaceFirst(from, to);
    if (edited.equals(text)) {
      throw new AssertionError(from + " is not in " + text);
    }
    Files.writeString(file, edited);
  }

  /** Rewrites one tensor of the copied weights; null removes it. */
  private void editWeights(String name, UnaryOperator<StoredTensor> edit) throws IOException {
    List<StoredTensor> tensors = new ArrayList<>();
    try (TensorFile file = TensorFiles.open(CLIP.resolve("model.safetensors"))) {
      for (StoredTensor tensor : file.tensors()) {
        StoredTensor edited = tensor.name().equals(name) ? edit.apply(tensor) : tensor;
        if (edited != null) {
          tensors.add(edited);
        }
      }
    }
    Files.delete(directory.resolve("model.safetensors"));
    SafetensorsWriter.write(directory.resolve("model.safetensors"), tensors, Map.of());
  }

  @Test
  void missingTensor() throws IOException {
    editWeights("text_model.encoder.layers.1.mlp.fc1.bias", tensor -> null);
    refusal()
        .hasMessageContaining("model.safetensors")
        .hasMessageContaining(
            "text_model.encoder.layers.1.mlp.fc1.bias: expected [40], found no such tensor");
  }

  @Test
  void configOfAnotherModelListsWhatDiffers() throws IOException {
    editConfig("\"intermediate_size\": 40", "\"intermediate_size\": 48");
    refusal()
        .hasMessageContaining("text_model.encoder.layers.0.mlp.fc1.weight in")
        .hasMessageContaining("expected [48, 24], found [40, 24]")
        .hasMessageContaining("text_model.encoder.layers.1.mlp.fc2.weight in")
        .hasMessageContaining("config.json");
  }

  @Test
  void wrongType() throws IOException {
    String name = "text_model.final_layer_norm.bias";
    editWeights(name, t -> StoredTensor.lazy(name, DType.I32, t.shape(), "memory", t::data));
    refusal().hasMessageContaining(name).hasMessageContaining("expected floating point, found I32");
  }

  @Test
  void damagedNumbersAreNoticedWhenUsed() throws IOException {
    String name = "text_model.encoder.layers.0.self_attn.v_proj.bias";
    float[] values = new float[24];
    values[3] = Float.NaN;
    editWeights(name, tensor -> StoredTensor.ofFloats(name, DType.F32, Shape.of(24), values));
    try (TextEncoder clip = OnnxTextEncoder.clip(directory, 1)) {
      assertThatThrownBy(() -> clip.encode(new int[][] {{1, 2}}))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("expected finite numbers, found NaN");
    }
  }

  @Test
  void truncatedFile() throws IOException {
    Path file = directory.resolve("model.safetensors");
    byte[] bytes = Files.readAllBytes(file);
    Files.write(file, Arrays.copyOf(bytes, bytes.length - 100));
    refusal().hasMessageContaining("model.safetensors");
  }

  @Test
  void configsThatMakeNoSense() throws IOException {
    editConfig("\"quick_gelu\"", "\"tan\"");
    refusal()
        .hasMessageContaining("hidden_act")
        .hasMessageContaining("tan")
        .hasMessageContaining("config.json");
    editConfig("\"tan\"", "\"quick_gelu\"");
    editConfig("\"num_attention_heads\": 3", "\"num_attention_heads\": 5");
    refusal()
        .hasMessageContaining("num_attention_heads")
        .hasMessageContaining("divisor of hidden_size = 24");
    editConfig("\"num_attention_heads\": 5", "\"num_attention_heads\": 0");
    refusal().hasMessageContaining("at least 1");
    editConfig("\"clip_text_model\"", "\"bert\"");
    refusal().hasMessageContaining("model_type").hasMessageContaining("bert");
  }

  @Test
  void missingFiles() throws IOException {
    Files.delete(directory.resolve("model.safetensors"));
    refusal().hasMessageContaining("no weights").hasMessageContaining(directory.toString());
    Files.delete(directory.resolve("config.json"));
    refusal().hasMessageContaining("config.json");
    assertThatThrownBy(() -> OnnxTextEncoder.clip(directory.resolve("nowhere"), 1))
        .hasMessageContaining("nowhere");
  }

  @Test
  void t5RefusesOtherModels() throws IOException {
    assertThatThrownBy(() -> OnnxTextEncoder.t5(CLIP, 1)).hasMessageContaining("model_type");
    Files.copy(
        T5.resolve("config.json"),
        directory.resolve("config.json"),
        java.nio.file.StandardCopyOption.REPLACE_EXISTING);
    assertThatThrownBy(() -> OnnxTextEncoder.t5(directory, 1))
        .hasMessageContaining("found no such tensor")
        .hasMessageContaining(" more\n");
  }

  /** Download caches hold links to files elsewhere, with other names. */
  @Test
  void linkedWeights() throws IOException {
    Path blob = Files.createDirectories(directory.resolve("blobs")).resolve("0a1b");
    Files.move(directory.resolve("model.safetensors"), blob);
    Path snapshot = Files.createDirectories(unusual());
    Files.move(directory.resolve("config.json"), snapshot.resolve("config.json"));
    Files.createSymbolicLink(snapshot.resolve("model.safetensors"), Path.of("../../blobs/0a1b"));
    check(snapshot);
  }

  /** A name with a blank and, where file names may have it, a letter that is not ASCII. */
  private Path unusual() {
    try {
      return directory.resolve("snapshots/main with a bl\u00e4nk");
    } catch (InvalidPathException ascii) { // Java under LC_ALL=C
      return directory.resolve("snapshots/main with a blank");
    }
  }

  /** Eight-bit floats cannot be read in place, so that these weights are handed over in memory. */
  @Test
  void weightsInMemory() throws IOException {
    String name = "text_model.encoder.layers.0.layer_norm1.weight";
    byte[] codes = new byte[24];
    Arrays.fill(codes, (byte) 0x38); // 1.0 in e4m3
    editWeights(name, tensor -> StoredTensor.ofFloats(name, DType.F32, tensor.shape(), ones(24)));
    float[] expected;
    int[][] ids = {{1, 2, 3}};
    try (TextEncoder clip = OnnxTextEncoder.clip(directory, 1)) {
      expected = clip.encode(ids).values();
    }
    editWeights(
        name,
        tensor ->
            StoredTensor.of(name, DType.F8_E4M3, tensor.shape(), java.nio.ByteBuffer.wrap(codes)));
    try (TextEncoder clip = OnnxTextEncoder.clip(directory, 1)) {
      assertClose(clip.encode(ids).values(), expected, 1e-6);
    }
  }

  private static float[] ones(int count) {
    float[] ones = new float[count];
    Arrays.fill(ones, 1);
    return ones;
  }

  private static void check(Path model) {
    Path expected = CLIP.resolve("expected.safetensors");
    try (TextEncoder clip = OnnxTextEncoder.clip(model, 1)) {
      assertClose(
          clip.encode(Expected.ids(expected, "input_ids")),
          Expected.tensor(expected, "last_hidden_state"),
          1e-4);
    }
  }
}
