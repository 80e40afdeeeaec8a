package dev.longalign;

import static org.assertj.core.api.Assertions.assertThat;

import dev.longalign.pipeline.SamplingDefaults;
import dev.longalign.scheduler.Scheduler;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class EmbeddedModelTest {
  @TempDir Path temp;

  @Test
  void unpacksEveryFileOfTheIndexAndNothingElse() throws Exception {
    Path directory = EmbeddedModel.directory(temp.resolve("cache"));
    assertThat(directory.getParent().getParent()).isEqualTo(temp.resolve("cache"));
    assertThat(directory).hasFileName("longsd-mini");
    assertComplete(directory);
    assertThat(directory.resolve("model_index.json")).content().contains("StableDiffusionPipeline");
    assertThat(EmbeddedModel.index())
        .extracting(EmbeddedModel.Entry::path)
        .contains("lora_vis.pt", "sd15-reward.pt", "t5/spiece.model", "adapter/config.json");
  }

  @Test
  void saysWhatItIsSampledWith() throws IOException {
    assertThat(SamplingDefaults.read(EmbeddedModel.directory(temp)))
        .isEqualTo(new SamplingDefaults(Scheduler.UNIPC, 25, EmbeddedModel.GUIDANCE_SCALE));
  }

  @Test
  void repairsWhatIsDamagedAndTouchesNothingElse() throws Exception {
    Path directory = EmbeddedModel.directory(temp);
    Path whole = directory.resolve("vae/diffusion_pytorch_model.safetensors");
    var before = Files.getLastModifiedTime(whole);
    Path flipped = directory.resolve("unet/diffusion_pytorch_model.safetensors");
    byte[] bytes = Files.readAllBytes(flipped);
    bytes[bytes.length / 2] ^= 1; // same size: only the hash tells
    Files.write(flipped, bytes);
    Files.writeString(directory.resolve("lora_vis.pt"), "short");
    Files.delete(directory.resolve("t5/config.json"));
    Files.delete(directory.resolve("adapter/config.json"));
    Files.createDirectory(directory.resolve("adapter/config.json"));

    assertThat(EmbeddedModel.directory(temp)).isEqualTo(directory);
    assertComplete(directory);
    assertThat(Files.getLastModifiedTime(whole)).isEqualTo(before);
  }

  @Test
  void threadsMayUnpackAtOnce() throws Exception {
    ExecutorService pool = Executors.newFixedThreadPool(6);
    try {
      List<Callable<Path>> calls = new ArrayList<>();
      for (int i = 0; i < 6; i++) {
        calls.add(
            () -> {
              Path directory = EmbeddedModel.directory(temp);
              for (EmbeddedModel.Entry entry : EmbeddedModel.index()) {
                assertThat(entry.matches(directory.resolve(entry.path())))
                    .as(entry.path())
                    .isTrue();
              }
              return directory;
            });
      }
      for (Future<Path> future : pool.invokeAll(calls)) {
        assertComplete(future.get());
      }
    } finally {
      pool.shutdownNow();
    }
  }

  @Test
  void usesACompleteCacheThatIsReadOnly() throws Exception {
    Path directory = EmbeddedModel.directory(temp);
    List<Path> directories;
    try (Stream<Path> files = Files.walk(temp)) {
      directories = files.filter(Files::isDirectory).toList();
    }
    directories.forEach(d -> assertThat(d.toFile().setWritable(false)).isTrue());
    try {
      assertThat(EmbeddedModel.directory(temp)).isEqualTo(directory);
    } finally {
      directories.forEach(d -> assertThat(d.toFile().setWritable(true)).isTrue());
    }
  }

  private static void assertComplete(Path directory) throws IOException {
    List<String> expected =
        EmbeddedModel.index().stream().map(EmbeddedModel.Entry::path).sorted().toList();
    try (Stream<Path> files = Files.walk(directory)) {
      assertThat(
              files
                  .filter(Files::isRegularFile)
                  .map(file -> directory.relativize(file).toString().replace('\\', '/'))
                  .sorted()
                  .toList())
          .isEqualTo(expected);
    }
    for (EmbeddedModel.Entry entry : EmbeddedModel.index()) {
      assertThat(entry.matches(directory.resolve(entry.path()))).as(entry.path()).isTrue();
    }
  }
}
