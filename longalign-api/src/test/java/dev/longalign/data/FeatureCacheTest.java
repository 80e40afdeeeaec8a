package dev.longalign.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.longalign.LongAlignException;
import dev.longalign.io.StoredTensor;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.UUID;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class FeatureCacheTest {
  private static final FeatureKey KEY = FeatureKey.of(Map.of("vae", "abc", "resolution", "512"));

  /** Two examples of 48 bytes. */
  private static final long TWO = 96;

  @TempDir Path temporary;

  private Path directory() {
    return temporary.resolve("cache");
  }

  @Test
  void readsBackWhatWasWritten() {
    write(7);
    try (FeatureCache cache = FeatureCache.open(directory(), KEY)) {
      assertThat(cache.size()).hasValue(7);
      for (int i = 0; i < 7; i++) {
        FeatureExample example = cache.example(i);
        assertThat(example.id()).isEqualTo("\u732b " + i);
        assertThat(example.caption()).isEqualTo("caption \u00fc " + i);
        assertThat(example.tensors()).containsOnlyKeys("latents", "clip");
        assertThat(example.tensor("latents").shape()).isEqualTo(Shape.of(2, 2, 2));
        assertThat(example.tensor("latents").toFloats()).containsOnly(i + 0.5f);
        assertThat(example.tensor("clip").dtype()).isEqualTo(DType.BF16);
        assertThat(example.tensor("clip").toFloats()).containsOnly(-i);
      }
      assertThatThrownBy(() -> cache.example(0).tensor("t5"))
          .hasMessageContaining("no feature 't5'; there are [clip, latents]");
      cache.verify();
      try (DataLoader<FeatureExample> loader =
          DataLoader.builder(cache).batchSize(7).threads(2).build()) {
        assertThat(loader.next().examples())
            .extracting(FeatureExample::id)
            .contains("\u732b 0", "\u732b 6");
      }
    }
    assertThat(names())
        .containsExactly(
            "features-00000.safetensors",
            "features-00001.safetensors",
            "features-00002.safetensors",
            "features-00003.safetensors",
            "manifest.json");
  }

  @Test
  void anotherKeyIsRefusedWithTheDifference() {
    write(2);
    FeatureKey other = FeatureKey.of(Map.of("vae", "def", "resolution", "512", "t5", "x"));
    assertThatThrownBy(() -> FeatureCache.open(directory(), other))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("t5: expected x, found nothing; vae: expected def, found abc");
    assertThatThrownBy(() -> FeatureCache.write(directory(), other))
        .hasMessageContaining("was computed from something else");
    assertThatThrownBy(() -> FeatureCache.write(directory(), KEY))
        .hasMessageContaining("is complete already");
    assertThat(other.hash()).isNotEqualTo(KEY.hash()).hasSize(64);
    assertThat(FeatureKey.of(Map.of("a", "bc")).hash())
        .isNotEqualTo(FeatureKey.of(Map.of("ab", "c")).hash());
  }

  @Test
  void anInterruptedCacheIsRefusedByReadersAndContinuedByWriters() {
    try (FeatureCacheWriter writer = FeatureCache.write(directory(), KEY, TWO)) {
      for (int i = 0; i < 5; i++) {
        writer.add(2 * i, example(2 * i)); // the odd ones could not be used
      }
      assertThat(writer.size()).isEqualTo(5);
    } // the fifth was pending, and is lost
    assertThatThrownBy(() -> FeatureCache.open(directory(), KEY))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("is unfinished: it has 4 examples, up to index 7");
    try (FeatureCacheWriter writer = FeatureCache.write(directory(), KEY, TWO)) {
      assertThat(writer.next()).isEqualTo(7);
      assertThatThrownBy(() -> writer.add(6, example(6))).hasMessageContaining("comes late");
      writer.add(8, example(8));
      writer.finish(10);
      assertThatThrownBy(() -> writer.add(11, example(11))).hasMessageContaining("is finished");
    }
    try (FeatureCache cache = FeatureCache.open(directory(), KEY)) {
      assertThat(cache.size()).hasValue(5);
      assertThat(cache.example(4).id()).isEqualTo("\u732b 8");
    }
  }

  /** Flushed and continued at every example: the same files as in one go. */
  @Test
  void flushesKeepAllAndLeaveNoTrace() throws IOException {
    write(5);
    Map<String, byte[]> whole = new TreeMap<>();
    for (String name : names()) {
      whole.put(name, Files.readAllBytes(directory().resolve(name)));
      Files.delete(directory().resolve(name));
    }
    for (int i = 0; i < 5; i++) {
      try (FeatureCacheWriter writer = FeatureCache.write(directory(), KEY, TWO)) {
        assertThat(writer.next()).isEqualTo(i);
        assertThat(writer.size()).isEqualTo(i);
        writer.add(i, example(i));
        writer.flush();
        writer.flush();
      }
      Files.writeString(
          directory().resolve(".unfinished-00000-9.safetensors." + UUID.randomUUID() + ".tmp"),
          "of a process that was killed");
      assertThatThrownBy(() -> FeatureCache.open(directory(), KEY))
          .hasMessageContaining("is unfinished: it has " + (i + 1) + " examples");
    }
    try (FeatureCacheWriter writer = FeatureCache.write(directory(), KEY, TWO)) {
      writer.finish(5);
    }
    assertThat(names()).containsExactlyElementsOf(whole.keySet());
    for (String name : names()) {
      assertThat(directory().resolve(name)).as(name).hasBinaryContent(whole.get(name));
    }
  }

  @Test
  void aSecondWriterIsRefused() {
    try (FeatureCacheWriter writer = FeatureCache.write(directory(), KEY, TWO)) {
      assertThat(writer.next()).isZero();
      assertThatThrownBy(() -> FeatureCache.write(directory(), KEY, TWO))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("is being written by this process");
    }
    write(1);
  }

  /** A shard that is a link to the device that is always full. */
  @Test
  void aFullDiskLosesNothingThatWasWritten() throws IOException {
    Path full = Path.of("/dev/full");
    assumeTrue(Files.exists(full), "this system has no /dev/full");
    try (FeatureCacheWriter writer = FeatureCache.write(directory(), KEY, TWO)) {
      writer.add(0, example(0));
      writer.add(1, example(1));
      Path second = directory().resolve("features-00001.safetensors");
      Files.createSymbolicLink(second, full);
      writer.add(2, example(2));
      assertThatThrownBy(() -> writer.add(3, example(3)))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("features-00001.safetensors cannot be written: the disk is full");
      Files.delete(second);
    }
    assertThat(names()).containsExactly("features-00000.safetensors", "manifest.json");
    try (FeatureCacheWriter writer = FeatureCache.write(directory(), KEY, TWO)) {
      assertThat(writer.next()).isEqualTo(2);
      for (int i = 2; i < 5; i++) {
        writer.add(i, example(i));
      }
      writer.finish(5);
    }
    try (FeatureCache cache = FeatureCache.open(directory(), KEY)) {
      assertThat(cache.size()).hasValue(5);
      cache.verify();
    }
  }

  @Test
  void aFailingTensorLeavesNoHalfShard() {
    StoredTensor failing =
        StoredTensor.lazy(
            "latents",
            DType.F32,
            Shape.of(100),
            "device",
            () -> {
              throw new LongAlignException("device lost");
            });
    try (FeatureCacheWriter writer = FeatureCache.write(directory(), KEY, TWO)) {
      FeatureExample bad = new FeatureExample("x", "", Map.of("latents", failing));
      assertThatThrownBy(() -> writer.add(0, bad)).hasMessage("device lost");
    }
    assertThat(names()).isEmpty();
    assertThatThrownBy(() -> FeatureCache.open(directory(), KEY))
        .hasMessageContaining("has no manifest.json");
  }

  @Test
  void damageIsRefused() throws IOException {
    write(4);
    Path shard = directory().resolve("features-00001.safetensors");
    byte[] good = Fixtures.read(shard);
    Fixtures.write(shard, Arrays.copyOf(good, good.length - 1));
    assertThatThrownBy(() -> FeatureCache.open(directory(), KEY))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("expected " + good.length + " bytes, found " + (good.length - 1));
    Files.delete(shard);
    assertThatThrownBy(() -> FeatureCache.open(directory(), KEY))
        .hasMessageContaining("found no file");
    byte[] changed = good.clone();
    changed[good.length - 1] ^= 1;
    Fixtures.write(shard, changed);
    try (FeatureCache cache = FeatureCache.open(directory(), KEY)) {
      assertThatThrownBy(cache::verify).hasMessageContaining("its content has changed");
    }
    Path manifest = directory().resolve("manifest.json");
    String json = Files.readString(manifest);
    Files.writeString(manifest, json.replace("\"abc\"", "\"def\""));
    assertThatThrownBy(
            () ->
                FeatureCache.open(
                    directory(), FeatureKey.of(Map.of("vae", "def", "resolution", "512"))))
        .hasMessageContaining("changed by hand");
    Files.writeString(manifest, json.replace("features-00000", "../../etc"));
    assertThatThrownBy(() -> FeatureCache.open(directory(), KEY))
        .hasMessageContaining("the name of a shard");
    Files.write(manifest, json.substring(0, 40).getBytes(StandardCharsets.UTF_8));
    assertThatThrownBy(() -> FeatureCache.open(directory(), KEY))
        .hasMessageContaining("manifest.json: not valid JSON");
  }

  @Test
  void nothingToCacheIsAnError() {
    try (FeatureCacheWriter writer = FeatureCache.write(directory(), KEY)) {
      assertThatThrownBy(() -> writer.finish(3)).hasMessageContaining("no examples to cache");
    }
  }

  @Test
  void halfCharactersInCaptionsAreReplaced() {
    try (FeatureCacheWriter writer = FeatureCache.write(directory(), KEY)) {
      writer.add(0, new FeatureExample("x", "half \ud83d", example(0).tensors()));
      writer.finish(1);
    }
    try (FeatureCache cache = FeatureCache.open(directory(), KEY)) {
      assertThat(cache.example(0).caption()).isEqualTo("half ?");
    }
  }

  private void write(int count) {
    try (FeatureCacheWriter writer = FeatureCache.write(directory(), KEY, TWO)) {
      for (int i = 0; i < count; i++) {
        writer.add(i, example(i));
      }
      writer.finish(count);
    }
  }

  private static FeatureExample example(int i) {
    float[] latents = new float[8];
    Arrays.fill(latents, i + 0.5f);
    float[] clip = new float[8];
    Arrays.fill(clip, -i);
    return new FeatureExample(
        "\u732b " + i,
        "caption \u00fc " + i,
        Map.of(
            "latents", StoredTensor.ofFloats("x", DType.F32, Shape.of(2, 2, 2), latents),
            "clip", StoredTensor.ofFloats("y", DType.BF16, Shape.of(4, 2), clip)));
  }

  private List<String> names() {
    try (Stream<Path> files = Files.list(directory())) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }
}
