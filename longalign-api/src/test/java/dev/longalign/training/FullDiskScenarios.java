package dev.longalign.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.longalign.LongAlignException;
import dev.longalign.data.FeatureCache;
import dev.longalign.data.FeatureCacheWriter;
import dev.longalign.data.FeatureExample;
import dev.longalign.data.FeatureKey;
import dev.longalign.io.AtomicDirectories;
import dev.longalign.pipeline.ModelFiles;
import dev.longalign.tensor.DType;
import dev.longalign.training.export.ExportFormat;
import dev.longalign.training.export.ExportSettings;
import dev.longalign.training.export.Exports;
import dev.longalign.training.export.ModelCard;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * What {@link FullDiskTest} lets happen in a process of its own: main's arguments are a scenario
 * and a directory on a small disk.
 */
final class FullDiskScenarios {
  private final Path disk;

  private FullDiskScenarios(Path disk) {
    this.disk = disk;
  }

  public static void main(String[] arguments) throws IOException {
    FullDiskScenarios scenarios = new FullDiskScenarios(Path.of(arguments[1]));
    switch (arguments[0]) {
      case "checkpoint" -> scenarios.checkpoint();
      case "export" -> scenarios.export();
      case "cache" -> scenarios.cache();
      case "file-limit" -> scenarios.fileLimit();
      default -> throw new IllegalArgumentException(arguments[0]);
    }
  }

  private List<String> files(Path directory) throws IOException {
    try (Stream<Path> all = Files.walk(directory)) {
      return all.filter(Files::isRegularFile)
          .map(file -> directory.relativize(file).toString())
          .sorted()
          .toList();
    }
  }

  private static long size(Path directory) throws IOException {
    try (Stream<Path> all = Files.walk(directory)) {
      return all.filter(Files::isRegularFile).mapToLong(file -> file.toFile().length()).sum();
    }
  }

  /** Fills the disk but for {@code left} bytes. */
  private Path fill(long left) throws IOException {
    Path ballast = disk.resolve("ballast");
    byte[] block = new byte[4096];
    try (OutputStream out = Files.newOutputStream(ballast)) {
      while (Files.getFileStore(disk).getUsableSpace() > left) {
        out.write(block);
      }
    }
    return ballast;
  }

  private static LongAlignException failure(Runnable action) {
    LongAlignException failure = catchThrowableOfType(LongAlignException.class, action::run);
    assertThat(failure).isNotNull();
    return failure;
  }

  private void checkpoint() throws IOException {
    Path run = disk.resolve("run");
    Map<String, float[]> continued;
    try (TinyTraining tiny = TinyRun.tiny();
        Trainer<FeatureExample> trainer = new TinyRun().trainer(tiny, run)) {
      trainer.trainTo(2);
      List<String> before = files(run);
      long size = size(run);
      Path ballast = fill(size / 2);
      LongAlignException failure = failure(() -> trainer.trainTo(4));
      assertThat(failure)
          .hasMessageContaining(run.resolve("step-00000004") + " cannot be written")
          .hasMessageContaining("the disk is full (No space left on device, ")
          .hasMessageContaining(" bytes needed, ")
          .hasMessageContaining(" bytes free)")
          .hasMessageContaining("step-00000002 is the newest");
      assertThat(files(run)).isEqualTo(before);
      assertThat(trainer.step()).isEqualTo(4);
      resumes(run, 2);
      Files.delete(ballast);
      trainer.trainTo(5); // the same process goes on, and saves
      continued = TinyRun.values(tiny);
    }
    resumes(run, 5);
    assertThat(Files.list(run).map(p -> p.getFileName().toString()))
        .containsExactlyInAnyOrder("step-00000002", "step-00000005");
    try (TinyTraining tiny = TinyRun.tiny();
        Trainer<FeatureExample> trainer = new TinyRun().trainer(tiny, disk.resolve("other"))) {
      trainer.trainTo(5);
      TinyRun.values(tiny)
          .forEach((name, x) -> assertThat(continued.get(name)).as(name).isEqualTo(x));
    }
  }

  /** From a copy elsewhere, as after a crash: the run itself is locked by who still trains it. */
  private static void resumes(Path run, long step) throws IOException {
    Path copy = Files.createTempDirectory("run");
    try (Stream<Path> all = Files.walk(run)) {
      for (Path file : all.filter(f -> !f.equals(run)).toList()) {
        Files.copy(file, copy.resolve(run.relativize(file).toString()));
      }
    }
    try (TinyTraining tiny = TinyRun.tiny();
        Trainer<FeatureExample> trainer = new TinyRun().trainer(tiny, copy)) {
      assertThat(trainer.resume()).isTrue();
      assertThat(trainer.step()).isEqualTo(step);
    }
    AtomicDirectories.remove(copy);
  }

  private void export() throws IOException {
    Path out = disk.resolve("export");
    Path tiny = TinyTraining.folder();
    ModelFiles base = ModelFiles.find(tiny, tiny.resolve("s28750_adapter"), null, List.of(), false);
    ModelCard card = ModelCard.of("Small disk");
    ExportSettings all =
        ExportSettings.DEFAULT
            .withFormats(EnumSet.allOf(ExportFormat.class))
            .withPrecision(DType.F16, DType.F32);
    try (TinyTraining trained = ExportsTest.trained()) {
      Exports.write(trained.model, base, ExportSettings.DEFAULT, card, out);
      List<String> before = files(disk);
      Path ballast = fill(400_000);
      LongAlignException failure =
          failure(() -> Exports.write(trained.model, base, all, card, out));
      assertThat(failure)
          .hasMessageContaining(out + " cannot be written: the disk is full")
          .hasMessageContaining(" bytes needed, ");
      Files.delete(ballast);
      assertThat(files(disk)).isEqualTo(before);
      Exports.write(trained.model, base, all, card, out);
      assertThat(files(out)).contains("merged/unet/diffusion_pytorch_model.safetensors");
    }
  }

  private void cache() throws IOException {
    Path directory = disk.resolve("cache");
    FeatureKey key = FeatureKey.of(Map.of("vae", "x"));
    long example = 3 * 4 * (24 * 64 + 24 * 48 + 64); // three in a shard, roughly
    long reached;
    Path ballast;
    try (FeatureCacheWriter writer = FeatureCache.write(directory, key, example)) {
      writer.share(TinyRun.features(99, false));
      for (int i = 0; i < 6; i++) {
        writer.add(i, TinyRun.features(i, true));
      }
      ballast = fill(4096);
      List<String> before = files(directory);
      LongAlignException failure =
          failure(
              () -> {
                for (int i = 6; i < 100; i++) {
                  writer.add(i, TinyRun.features(i, true));
                }
              });
      assertThat(failure)
          .hasMessageContaining("the disk is full")
          .hasMessageContaining("The cache keeps the 6 examples before");
      assertThat(files(directory)).isEqualTo(before);
    }
    Files.delete(ballast);
    try (FeatureCacheWriter writer = FeatureCache.write(directory, key, example)) {
      reached = writer.next();
      assertThat(reached).isEqualTo(6);
      for (long i = reached; i < 10; i++) {
        writer.add(i, TinyRun.features(i, true));
      }
      writer.finish(10);
    }
    try (FeatureCache cache = FeatureCache.open(directory, key)) {
      cache.verify();
      assertThat(cache.size()).hasValue(10);
      assertThat(cache.example(9).id()).isEqualTo("example 9");
    }
  }

  /** The limit is below a checkpoint, and above all else. */
  private void fileLimit() throws IOException {
    Path run = disk.resolve("run");
    try (TinyTraining tiny = TinyRun.tiny();
        Trainer<FeatureExample> trainer = new TinyRun().trainer(tiny, run)) {
      LongAlignException failure = failure(() -> trainer.trainTo(2));
      assertThat(failure)
          .hasMessageContaining("files may not be so large here (File too large, ")
          .hasMessageContaining("ulimit -f")
          .hasMessageContaining("There is no earlier checkpoint");
    }
    assertThat(files(run)).isEmpty();
    assertThat(Files.list(run)).isEmpty();
  }
}
