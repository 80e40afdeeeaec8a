package dev.longalign.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import dev.longalign.data.DataLoader;
import dev.longalign.data.Dataset;
import dev.longalign.data.FeatureExample;
import dev.longalign.io.Config;
import dev.longalign.io.SafetensorsFile;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFile;
import dev.longalign.io.TensorFiles;
import dev.longalign.model.Lora;
import dev.longalign.model.TextAdapterConfig;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.model.UNet2DConditionConfig;
import dev.longalign.nn.RandomDropout;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.TensorScope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Random;
import java.util.TreeMap;
import java.util.UUID;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Runs of the trainer: deterministic, resumable, and stopped by what is not finite. */
class TrainerTest {
  private static final TrainerSettings SETTINGS =
      TrainerSettings.DEFAULT
          .withLearningRate(1e-3, 2)
          .withAccumulation(2)
          .withSeed(7)
          .withCheckpoints(2, 2);

  @TempDir private Path folder;

  /** Eight examples of noise; one of them can be poisoned. */
  private static Dataset<FeatureExample> data(long poisoned) {
    return new Dataset<>() {
      @Override
      public OptionalLong size() {
        return OptionalLong.of(8);
      }

      @Override
      public FeatureExample example(long index) {
        FeatureExample example = features(index, true);
        if (index != poisoned) {
          return example;
        }
        Map<String, StoredTensor> tensors = new TreeMap<>(example.tensors());
        tensors.put("latents", stored("latents", new float[] {Float.NaN}, 4, 4, 4));
        tensors.remove("moments");
        return new FeatureExample(example.id(), example.caption(), tensors);
      }

      @Override
      public String source() {
        return "noise";
      }
    };
  }

  static FeatureExample features(long seed, boolean latents) {
    Random random = new Random(seed);
    Map<String, StoredTensor> tensors = new TreeMap<>();
    tensors.put("clip", stored("clip", gaussian(random, 24 * 64), 24, 64));
    tensors.put("t5", stored("t5", gaussian(random, 24 * 48), 24, 48));
    if (latents) {
      tensors.put("latents", stored("latents", gaussian(random, 64), 4, 4, 4));
    }
    return new FeatureExample("example " + seed, "caption " + seed, tensors);
  }

  private static float[] gaussian(Random random, int size) {
    float[] values = new float[size];
    for (int i = 0; i < size; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  private static StoredTensor stored(String name, float[] values, long... dims) {
    Shape shape = Shape.of(dims);
    float[] all = Arrays.copyOf(values, Math.toIntExact(shape.size()));
    return StoredTensor.ofFloats(name, DType.F32, shape, all);
  }

  static Trainer<FeatureExample> trainer(TinyTraining tiny, Path run, long poisoned) {
    AlignObjective<FeatureExample> objective =
        new AlignObjective<>(
            tiny.unet,
            tiny.adapter::forward,
            tiny.schedule,
            new FeatureEncoder(tiny.autograd, features(99, false)),
            new AlignObjective.Settings(0.3, 0));
    return new Trainer<>(
        tiny.model,
        objective,
        SETTINGS,
        run,
        from -> {
          DataLoader.Builder<FeatureExample> loader =
              DataLoader.builder(data(poisoned)).batchSize(1).seed(3).threads(2);
          from.ifPresent(loader::position);
          return loader.build();
        });
  }

  static TinyTraining tiny() {
    return TinyTraining.align(new RandomDropout(0.1f, 5));
  }

  static Map<String, float[]> values(TinyTraining tiny) {
    Map<String, float[]> values = new TreeMap<>();
    tiny.parameters().forEach((name, p) -> values.put(name, p.value().toFloats()));
    return values;
  }

  private static void assertSame(Map<String, float[]> found, Map<String, float[]> expected) {
    assertThat(found.keySet()).isEqualTo(expected.keySet());
    expected.forEach((name, x) -> assertThat(found.get(name)).as(name).isEqualTo(x));
  }

  private List<String> entries(Path run) {
    try (Stream<Path> all = Files.list(run)) {
      return all.map(p -> p.getFileName().toString()).sorted().toList();
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }

  @Test
  void resumedIsTheSameAsNeverStopped() {
    List<StepReport> whole = new ArrayList<>();
    Map<String, float[]> expected;
    try (TinyTraining tiny = tiny();
        Trainer<FeatureExample> trainer = trainer(tiny, folder.resolve("whole"), -1)) {
      trainer.listen(collect(whole));
      assertThat(trainer.resume()).isFalse();
      trainer.trainTo(6);
      expected = values(tiny);
    }
    List<StepReport> parts = new ArrayList<>();
    Path run = folder.resolve("parts");
    for (int last : new int[] {3, 6}) {
      try (TinyTraining tiny = tiny();
          Trainer<FeatureExample> trainer = trainer(tiny, run, -1)) {
        trainer.listen(collect(parts));
        assertThat(trainer.resume()).isEqualTo(last == 6);
        trainer.trainTo(last);
        if (last == 6) {
          assertSame(values(tiny), expected);
        }
      }
    }
    assertThat(parts).extracting(StepReport::loss).isEqualTo(losses(whole));
    assertThat(parts)
        .extracting(StepReport::gradientNorm)
        .isEqualTo(whole.stream().map(StepReport::gradientNorm).toList());
    assertThat(whole.get(0).learningRate()).isZero();
    assertThat(whole.get(2).learningRate()).isEqualTo(1e-3);
    assertThat(whole.get(2).pictures()).isEqualTo(2);
    assertThat(entries(run)).containsExactly("step-00000004", "step-00000006");
  }

  private static List<Double> losses(List<StepReport> reports) {
    return reports.stream().map(StepReport::loss).toList();
  }

  private static TrainingListener collect(List<StepReport> reports) {
    return new TrainingListener() {
      @Override
      public void onStep(StepReport step) {
        reports.add(step);
      }
    };
  }

  @Test
  void aDamagedCheckpointIsPassedOverAndLeftoversAreRemoved() throws IOException {
    try (TinyTraining tiny = tiny();
        Trainer<FeatureExample> trainer = trainer(tiny, folder, -1)) {
      trainer.trainTo(4);
    }
    Path newest = folder.resolve("step-00000004/state.safetensors");
    byte[] bytes = Files.readAllBytes(newest);
    bytes[bytes.length / 2] ^= 1;
    Files.write(newest, bytes);
    Path killed = folder.resolve(".step-00000006." + UUID.randomUUID());
    Files.createDirectories(killed);
    Files.write(killed.resolve("state.safetensors"), bytes);
    try (TinyTraining tiny = tiny();
        Trainer<FeatureExample> trainer = trainer(tiny, folder, -1)) {
      assertThat(trainer.resume()).isTrue();
      assertThat(trainer.step()).isEqualTo(2);
      trainer.trainTo(4);
    }
    assertThat(entries(folder)).containsExactly("step-00000002", "step-00000004");
  }

  @Test
  void notANumberStopsWithTheInputsSaved() {
    try (TinyTraining tiny = tiny();
        Trainer<FeatureExample> trainer = trainer(tiny, folder, 2)) {
      assertThatThrownBy(() -> trainer.trainTo(4))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("found loss NaN")
          .hasMessageContaining("example 2")
          .hasMessageContaining("failed-step-");
      Path inputs =
          folder.resolve("failed-step-" + (trainer.step() + 1)).resolve("inputs-0.safetensors");
      try (TensorScope scope = TensorScope.open()) {
        StepInputs saved = StepInputs.read(inputs, tiny.autograd);
        assertThat(saved.tensors()).containsOnlyKeys("latents", "noise", "clip", "t5");
        assertThat(saved.integers("timesteps")).hasSize(1);
      }
      values(tiny)
          .forEach(
              (name, x) -> {
                for (float value : x) {
                  assertThat(value).as(name).isFinite();
                }
              });
    }
  }

  @Test
  void checkpointsOfAnotherModelAreRefused() {
    try (TinyTraining tiny = tiny();
        Trainer<FeatureExample> trainer = trainer(tiny, folder, -1)) {
      trainer.trainTo(1);
    }
    try (TinyTraining tiny =
            new TinyTraining("unet", "s28750_lora_vis.pt", new RandomDropout(0, 1), true, false);
        Trainer<FeatureExample> trainer = trainer(tiny, folder, -1)) {
      assertThatThrownBy(trainer::resume)
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("a checkpoint of another model");
    }
  }

  @Test
  void exportsAreReadable() {
    try (TinyTraining tiny = tiny()) {
      tiny.model.export(folder);
      UNet2DConditionConfig config =
          UNet2DConditionConfig.of(
              Config.read(TinyTraining.folder().resolve("unet_train/config.json")));
      Lora lora = Lora.read(folder.resolve("lora_vis.pt"), UNet2DCondition.layers(config));
      Lora initial =
          Lora.read(
              TinyTraining.folder().resolve("lora_train_init.pt"), UNet2DCondition.layers(config));
      assertThat(lora.entries().keySet()).isEqualTo(initial.entries().keySet());
      initial
          .entries()
          .forEach(
              (layer, entry) -> {
                assertThat(lora.entries().get(layer).up().toFloats())
                    .isEqualTo(entry.up().toFloats());
                assertThat(lora.entries().get(layer).down().toFloats())
                    .isEqualTo(entry.down().toFloats());
              });
      try (TensorFile names = TensorFiles.open(folder.resolve("lora_vis.pt"))) {
        assertThat(names.names()).hasSize(128);
      }
      Path adapter = folder.resolve("adapter");
      assertThat(TextAdapterConfig.of(Config.read(adapter.resolve("config.json"))))
          .isEqualTo(new TextAdapterConfig(48, 80, 64));
      try (TensorFile file =
          SafetensorsFile.open(adapter.resolve("diffusion_pytorch_model.safetensors"))) {
        assertThat(file.names()).hasSize(12);
      }
    }
  }
}
