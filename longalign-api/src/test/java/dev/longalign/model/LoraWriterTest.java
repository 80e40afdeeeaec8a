package dev.longalign.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import dev.longalign.io.Config;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFile;
import dev.longalign.io.TensorFiles;
import dev.longalign.nn.LayerSpec;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** LoRA files of every format, read back. */
class LoraWriterTest {
  private static final List<LayerSpec> LAYERS =
      UNet2DCondition.layers(UNet2DConditionConfig.of(TestModels.config("unet")));
  private static final Lora ALIGN =
      Lora.read(TestModels.folder().resolve("s28750_lora_vis.pt"), LAYERS);
  private static final String LINEAR = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q";
  private static final String CONV = "down_blocks.0.resnets.0.conv1";

  @TempDir Path folder;

  private Path file(LoraFormat format) {
    return folder.resolve(
        switch (format) {
          case LONGALIGN -> "lora.pt";
          case KOHYA -> "kohya.safetensors";
          case PEFT -> "adapter_model.safetensors";
          case DIFFUSERS -> "pytorch_lora_weights.safetensors";
        });
  }

  private Lora written(Lora lora, LoraFormat format, DType dtype) {
    lora.write(file(format), format, LAYERS, dtype);
    return Lora.read(file(format), LAYERS);
  }

  /** The same layers with other numbers, ranks or scales. */
  private interface Change {
    Lora.Entry of(Lora.Entry entry, int index);
  }

  private static Lora changed(Change change) {
    Map<String, Lora.Entry> entries = new LinkedHashMap<>();
    ALIGN.entries().forEach((path, e) -> entries.put(path, change.of(e, entries.size())));
    return new Lora("changed", entries, 0);
  }

  private static Lora.Entry random(Lora.Entry entry, int seed) {
    return new Lora.Entry(
        entry.layer(), gaussian(entry.up(), 2 * seed), gaussian(entry.down(), 2 * seed + 1), 1);
  }

  private static StoredTensor gaussian(StoredTensor like, int seed) {
    Random random = new Random(seed);
    float[] values = new float[Math.toIntExact(like.shape().size())];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return StoredTensor.ofFloats(like.name(), DType.F32, like.shape(), values);
  }

  private static void assertSame(Lora found, Lora expected) {
    assertThat(found.entries().keySet()).isEqualTo(expected.entries().keySet());
    expected
        .entries()
        .forEach(
            (path, entry) -> {
              Lora.Entry other = found.entries().get(path);
              assertThat(other.up().toFloats()).as(path).isEqualTo(entry.up().toFloats());
              assertThat(other.down().toFloats()).as(path).isEqualTo(entry.down().toFloats());
              assertThat(other.scale()).as(path).isEqualTo(entry.scale());
            });
  }

  @ParameterizedTest
  @CsvSource({"LONGALIGN", "KOHYA", "PEFT", "DIFFUSERS"})
  void numbersComeBackExactly(LoraFormat format) {
    assertThat(ALIGN.entries().values()).allMatch(e -> e.up().dtype() == DType.F16);
    assertSame(written(ALIGN, format, DType.F16), ALIGN);
    Lora full = changed(LoraWriterTest::random);
    assertSame(written(full, format, DType.F32), full);
    // And from each format into the method's own.
    Lora read = written(ALIGN, format, DType.F16);
    read.write(folder.resolve("back.pt"), LoraFormat.LONGALIGN, LAYERS, DType.F16);
    assertSame(Lora.read(folder.resolve("back.pt"), LAYERS), ALIGN);
  }

  @Test
  void kohyaHasItsNamesAndAlphas() {
    ALIGN.write(file(LoraFormat.KOHYA), LoraFormat.KOHYA, LAYERS, DType.F16);
    try (TensorFile file = TensorFiles.open(file(LoraFormat.KOHYA))) {
      assertThat(file.names()).hasSize(3 * ALIGN.entries().size());
      String linear = "lora_unet_" + LINEAR.replace('.', '_');
      int rank = ALIGN.entries().get(LINEAR).rank();
      StoredTensor alpha = file.tensor(linear + ".alpha");
      assertThat(alpha.shape()).isEqualTo(Shape.of());
      assertThat(alpha.toFloats()).containsExactly(rank);
      long width = ALIGN.entries().get(LINEAR).layer().weight().dim(1);
      assertThat(file.tensor(linear + ".lora_down.weight").shape())
          .isEqualTo(Shape.of(rank, width));
      assertThat(file.tensor(linear + ".lora_up.weight").dtype()).isEqualTo(DType.F16);
      String conv = "lora_unet_down_blocks_0_resnets_0_conv1";
      Shape weight = ALIGN.entries().get(CONV).layer().weight();
      assertThat(file.tensor(conv + ".lora_down.weight").shape()).isEqualTo(weight.with(0, rank));
      assertThat(file.tensor(conv + ".lora_up.weight").shape())
          .isEqualTo(Shape.of(weight.dim(0), rank, 1, 1));
      assertThat(file.metadata())
          .containsEntry("ss_network_dim", Integer.toString(rank))
          .containsEntry("ss_network_module", "networks.lora");
    }
  }

  @Test
  void peftAndDiffusersHaveTheirNames() {
    int rank = ALIGN.entries().get(LINEAR).rank();
    ALIGN.write(file(LoraFormat.PEFT), LoraFormat.PEFT, LAYERS, DType.F32);
    try (TensorFile file = TensorFiles.open(file(LoraFormat.PEFT))) {
      assertThat(file.names()).hasSize(2 * ALIGN.entries().size());
      assertThat(file.tensor("base_model.model." + LINEAR + ".lora_A.weight").shape().dim(0))
          .isEqualTo(rank);
    }
    Config config = Config.read(folder.resolve("adapter_config.json"));
    assertThat(config.getInt("r")).isEqualTo(rank);
    assertThat(config.getInt("lora_alpha")).isEqualTo(rank);
    assertThat(config.getString("peft_type")).isEqualTo("LORA");
    assertThat(config.getStringList("target_modules"))
        .containsExactlyElementsOf(ALIGN.entries().keySet());
    ALIGN.write(file(LoraFormat.DIFFUSERS), LoraFormat.DIFFUSERS, LAYERS, DType.F32);
    try (TensorFile file = TensorFiles.open(file(LoraFormat.DIFFUSERS))) {
      assertThat(file.names())
          .hasSize(2 * ALIGN.entries().size())
          .contains("unet." + LINEAR + ".lora_B.weight");
      assertThat(file.metadata().get("lora_adapter_metadata"))
          .contains("\"unet.r\":" + rank, "\"unet.lora_alpha\":" + rank);
    }
  }

  /** One scale for all has a place everywhere but in the bare list. */
  @Test
  void aCommonScaleIsKept() {
    Lora half = changed((e, i) -> new Lora.Entry(e.layer(), e.up(), e.down(), 0.5f));
    for (LoraFormat format : List.of(LoraFormat.KOHYA, LoraFormat.PEFT, LoraFormat.DIFFUSERS)) {
      assertSame(written(half, format, DType.F16), half);
    }
    Lora folded = written(half, LoraFormat.LONGALIGN, DType.F32);
    Lora.Entry entry = folded.entries().get(CONV);
    assertThat(entry.scale()).isEqualTo(1);
    float[] up = half.entries().get(CONV).up().toFloats();
    assertThat(entry.up().toFloats()[5]).isEqualTo(0.5f * up[5]);
  }

  /** Kohya has a scale a layer; elsewhere it goes into the factors. */
  @Test
  void scalesOfTheirOwnAreKeptOrFolded() {
    Lora mixed = changed((e, i) -> new Lora.Entry(e.layer(), e.up(), e.down(), i % 2 + 0.25f));
    assertSame(written(mixed, LoraFormat.KOHYA, DType.F16), mixed);
    for (LoraFormat format : List.of(LoraFormat.PEFT, LoraFormat.DIFFUSERS)) {
      Lora folded = written(mixed, format, DType.F32);
      folded
          .entries()
          .forEach(
              (path, entry) -> {
                Lora.Entry from = mixed.entries().get(path);
                float[] expected = from.up().toFloats();
                for (int i = 0; i < expected.length; i++) {
                  expected[i] *= from.scale();
                }
                assertThat(entry.scale()).isEqualTo(1);
                assertThat(entry.up().toFloats()).as(path).isEqualTo(expected);
              });
    }
  }

  @Test
  void whatAFormatCannotHoldIsRefused() {
    Map<String, Lora.Entry> fewer = new LinkedHashMap<>(ALIGN.entries());
    fewer.remove(LINEAR);
    Lora partly = new Lora("partly.safetensors", fewer, 0);
    assertThatThrownBy(() -> written(partly, LoraFormat.LONGALIGN, DType.F16))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("found in partly.safetensors: 1 of them missing (" + LINEAR + ")");
    assertThat(written(partly, LoraFormat.KOHYA, DType.F16).entries()).hasSize(fewer.size());
    Lora huge =
        changed(
            (e, i) -> {
              float[] values = e.up().toFloats();
              values[3] = 1e5f;
              return new Lora.Entry(
                  e.layer(),
                  StoredTensor.ofFloats("up", DType.F32, e.up().shape(), values),
                  e.down(),
                  1);
            });
    assertThatThrownBy(() -> written(huge, LoraFormat.KOHYA, DType.F16))
        .hasMessageContaining("expected numbers that F16 can hold");
    assertThat(file(LoraFormat.KOHYA)).exists(); // of the write before
    assertSame(written(huge, LoraFormat.KOHYA, DType.F32), huge);
    assertThatThrownBy(
            () -> ALIGN.write(folder.resolve("x.st"), LoraFormat.PEFT, LAYERS, DType.F16))
        .hasMessageContaining("PEFT looks for the name adapter_model.safetensors");
    assertThatThrownBy(() -> written(ALIGN, LoraFormat.KOHYA, DType.I8))
        .hasMessageContaining("expected f16, bf16 or f32");
  }
}
