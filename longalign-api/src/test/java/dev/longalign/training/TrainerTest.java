package dev.longalign.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import dev.longalign.data.FeatureExample;
import dev.longalign.io.Config;
import dev.longalign.io.SafetensorsFile;
import dev.longalign.io.TensorFile;
import dev.longalign.io.TensorFiles;
import dev.longalign.model.Lora;
import dev.longalign.model.TextAdapterConfig;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.model.UNet2DConditionConfig;
import dev.longalign.nn.RandomDropout;
import dev.longalign.tensor.TensorScope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Runs of the trainer: deterministic, resumable, and stopped by what is not finite. */
class TrainerTest {
  @TempDir private Path folder;

  private static Trainer<FeatureExample> trainer(TinyTraining tiny, Path run) {
    return new TinyRun().trainer(tiny, run);
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
    try (TinyTraining tiny = TinyRun.tiny();
        Trainer<FeatureExample> trainer = trainer(tiny, folder.resolve("whole"))) {
      trainer.listen(collect(whole));
      assertThat(trainer.resume()).isFalse();
      trainer.trainTo(6);
      expected = TinyRun.values(tiny);
    }
    List<StepReport> parts = new ArrayList<>();
    Path run = folder.resolve("parts");
    for (int last : new int[] {3, 6}) {
      try (TinyTraining tiny = TinyRun.tiny();
          Trainer<FeatureExample> trainer = trainer(tiny, run)) {
        trainer.listen(collect(parts));
        assertThat(trainer.resume()).isEqualTo(last == 6);
        trainer.trainTo(last);
        if (last == 6) {
          assertSame(TinyRun.values(tiny), expected);
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
    try (TinyTraining tiny = TinyRun.tiny();
        Trainer<FeatureExample> trainer = trainer(tiny, folder)) {
      trainer.trainTo(4);
    }
    Path newest = folder.resolve("step-00000004/state.safetensors");
    byte[] bytes = Files.readAllBytes(newest);
    bytes[bytes.length / 2] ^= 1;
    Files.write(newest, bytes);
    Path killed = folder.resolve(".step-00000006." + UUID.randomUUID());
    Files.createDirectories(killed);
    Files.write(killed.resolve("state.safetensors"), bytes);
    try (TinyTraining tiny = TinyRun.tiny();
        Trainer<FeatureExample> trainer = trainer(tiny, folder)) {
      assertThat(trainer.resume()).isTrue();
      assertThat(trainer.step()).isEqualTo(2);
      trainer.trainTo(4);
    }
    assertThat(entries(folder)).containsExactly("step-00000002", "step-00000004");
  }

  @Test
  void notANumberStopsWithTheInputsSaved() {
    try (TinyTraining tiny = TinyRun.tiny();
        Trainer<FeatureExample> trainer =
            new TinyRun(TinyRun.SETTINGS, 2, 2).trainer(tiny, folder)) {
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
      TinyRun.values(tiny)
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
    try (TinyTraining tiny = TinyRun.tiny();
        Trainer<FeatureExample> trainer = trainer(tiny, folder)) {
      trainer.trainTo(1);
    }
    try (TinyTraining tiny =
            new TinyTraining("unet", "s28750_lora_vis.pt", new RandomDropout(0, 1), true, false);
        Trainer<FeatureExample> trainer = trainer(tiny, folder)) {
      assertThatThrownBy(trainer::resume)
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("a checkpoint of another model");
    }
  }

  @Test
  void exportsAreReadable() {
    try (TinyTraining tiny = TinyRun.tiny()) {
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
