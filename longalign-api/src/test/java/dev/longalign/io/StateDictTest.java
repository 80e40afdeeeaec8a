package dev.longalign.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Models come out of what trainers wrap around them, in every part of a directory alike. */
class StateDictTest {
  private static final Path TINY = IoFixtures.GOLDEN.resolve("models/tiny-longsd");
  private static final List<String> PARTS =
      List.of("unet_train", "vae", "text_encoder", "t5", "s28750_adapter", "denscore");

  @TempDir Path temp;

  private static StoredTensor one(String name) {
    return StoredTensor.ofFloats(name, DType.F32, Shape.of(1), new float[] {1});
  }

  private static TensorFile memory(List<StoredTensor> tensors) {
    return TensorFiles.of("memory", tensors);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "state_dict.",
        "model.",
        "module.",
        "net.",
        "_orig_mod.",
        "model_ema.",
        "generator.x.y."
      })
  void everyPartIsUnwrapped(String prefix) throws Exception {
    for (String part : PARTS) {
      TensorFile plain = ComponentDirectory.open(TINY.resolve(part)).weights();
      Path directory = Files.createDirectories(temp.resolve(part));
      List<StoredTensor> tensors =
          new ArrayList<>(plain.tensors().stream().map(t -> t.named(prefix + t.name())).toList());
      tensors.add(one("optimizer.state.0.exp_avg"));
      tensors.add(one("ema.decay"));
      TorchWriter.writeDict(directory.resolve("pytorch_model.bin"), tensors);
      TensorFile wrapped = ComponentDirectory.open(directory).weights();
      assertThat(wrapped.names()).as(part).containsExactlyElementsOf(plain.names());
      String name = plain.names().iterator().next();
      assertThat(wrapped.tensor(name).data()).isEqualTo(plain.tensor(name).data());
      assertThat(wrapped.tensor(name).name()).isEqualTo(name);
      assertThatThrownBy(() -> wrapped.tensor("nothing"))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("closest");
    }
  }

  @Test
  void theModelIsTakenAndNotItsMovingAverage() {
    StateDict model =
        StateDict.unwrap(
            memory(
                List.of(
                    one("ema.time_embedding.linear_1.weight"),
                    one("ema.conv_in.weight"),
                    one("model.time_embedding.linear_1.weight"),
                    one("model.conv_in.weight"),
                    one("optimizer.state.7.step"),
                    one("loss.perceptual.weight"))));
    assertThat(model.names()).containsExactly("time_embedding.linear_1.weight", "conv_in.weight");
    assertThat(model.beside()).isEqualTo(Map.of("ema", 2, "loss", 1, "optimizer", 1));
  }

  @Test
  void aModelKeepsItsOwnNames() {
    List<StoredTensor> checkpoint =
        List.of(
            one("model.diffusion_model.input_blocks.0.0.weight"),
            one("first_stage_model.decoder.conv_in.weight"),
            one("cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"));
    assertThat(StateDict.unwrap(memory(checkpoint)).names())
        .containsExactlyElementsOf(checkpoint.stream().map(StoredTensor::name).toList());
    List<StoredTensor> unknown = List.of(one("loss.a"), one("ema.b"), one("c"));
    assertThat(StateDict.unwrap(memory(unknown)).names()).containsExactly("loss.a", "ema.b", "c");
    assertThat(StateDict.unwrap(memory(unknown)).beside()).isEmpty();
  }

  @Test
  void manyOddNamesTakeLittleTime() {
    List<StoredTensor> tensors = new ArrayList<>();
    for (int i = 0; i < 2000; i++) {
      tensors.add(one(i + ".".repeat(2000) + i));
      tensors.add(one("p" + i + ".time_embedding.linear_1.weight"));
    }
    long start = System.nanoTime();
    assertThat(StateDict.unwrap(memory(tensors)).names()).hasSize(1);
    assertThat((System.nanoTime() - start) * 1e-9).isLessThan(5);
  }

  @Test
  void pathsFromFilesStayWhereTheyMay() {
    assertThat(Names.relativePath(temp, "a/b.bin", "index")).isEqualTo(temp.resolve("a/b.bin"));
    for (String bad : List.of("", " ", "/etc/passwd", "../x", "a/../../x", "a\\..\\b", "a\0b")) {
      assertThatThrownBy(() -> Names.relativePath(temp, bad, "index: 'key'"))
          .isExactlyInstanceOf(LongAlignException.class)
          .hasMessageStartingWith("index: 'key': expected the path");
    }
    assertThat(Names.path(temp, "/elsewhere", "run")).isEqualTo(Path.of("/elsewhere"));
    assertThatThrownBy(() -> Names.path(temp, "x\0", "run: 'output'"))
        .isExactlyInstanceOf(LongAlignException.class)
        .hasMessage("run: 'output': expected the path of a file, found 'x?'");
  }

  @Test
  void listsInMessagesAreCut() {
    List<String> names = new ArrayList<>();
    for (int i = 0; i < 5000; i++) {
      names.add("layer" + i);
    }
    assertThat(Names.some(names)).endsWith("layer7 and 4992 more");
    assertThat(Names.some(List.of("a", "b\u001b[2J"))).isEqualTo("a, b?[2J");
  }
}
