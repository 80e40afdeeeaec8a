package dev.longalign.data;

import dev.longalign.LongAlignException;
import dev.longalign.io.Reasons;
import dev.longalign.io.SafetensorsFile;
import dev.longalign.io.Sha256;
import dev.longalign.io.StoredTensor;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * Latents and text features of a dataset, computed once and read as a {@link Dataset}: a directory
 * of safetensors shards (tensors {@code <example>/<feature>}, ids and captions in the metadata) and
 * a manifest that says from what they were computed. An example is read when it is asked for, and
 * costs no memory until then.
 *
 * <pre>{@code
 * try (FeatureCache cache = FeatureCache.open(directory, key);
 *     DataLoader<FeatureExample> loader = DataLoader.builder(cache).batchSize(16).build()) { ... }
 * }</pre>
 */
public final class FeatureCache implements Dataset<FeatureExample> {
  /** Half a gigabyte: what the writer holds in memory, and the shard's size. */
  private static final long SHARD_BYTES = 512L << 20;

  private final Path directory;
  private final FeatureManifest manifest;
  private final List<Shard> shards;
  private final FeatureExample shared;
  private final SafetensorsFile sharedFile;
  private final long[] firsts;

  private record Shard(SafetensorsFile file, List<Map<String, StoredTensor>> examples) {}

  private FeatureCache(Path directory, FeatureManifest manifest, List<Shard> shards, Shard shared) {
    this.directory = directory;
    this.manifest = manifest;
    this.shards = shards;
    this.shared = shared == null ? null : example(shared, 0);
    this.sharedFile = shared == null ? null : shared.file();
    this.firsts = new long[shards.size() + 1];
    for (int i = 0; i < shards.size(); i++) {
      firsts[i + 1] = firsts[i] + shards.get(i).examples().size();
    }
  }

  /**
   * Begins a cache, or continues an unfinished one of the same key.
   *
   * @throws LongAlignException if the directory has a cache that is complete or of another key
   */
  public static FeatureCacheWriter write(Path directory, FeatureKey key) {
    return write(directory, key, SHARD_BYTES);
  }

  /**
   * Begins or continues a cache.
   *
   * @param shardBytes a shard ends with the example that reaches this size
   */
  public static FeatureCacheWriter write(Path directory, FeatureKey key, long shardBytes) {
    return new FeatureCacheWriter(directory, key, shardBytes);
  }

  /**
   * Opens a complete cache.
   *
   * @throws LongAlignException if there is none, or it is unfinished, damaged, or was computed from
   *     something else than the key says; the message says what
   */
  public static FeatureCache open(Path directory, FeatureKey key) {
    FeatureManifest manifest = manifest(directory);
    key.check(directory, manifest.key());
    if (!manifest.complete()) {
      throw new LongAlignException(
          directory
              + " is unfinished: it has "
              + manifest.examples()
              + " examples, up to index "
              + manifest.next()
              + " of its dataset; run the computation again, it continues there");
    }
    List<Shard> shards = manifest.shards().stream().map(shard -> open(directory, shard)).toList();
    Shard shared = manifest.shared() == null ? null : open(directory, manifest.shared());
    return new FeatureCache(directory, manifest, shards, shared);
  }

  private static Shard open(Path directory, FeatureManifest.Shard shard) {
    checkSize(directory, shard);
    SafetensorsFile file = SafetensorsFile.open(directory.resolve(shard.file()));
    return new Shard(file, group(file, shard.examples()));
  }

  private static FeatureManifest manifest(Path directory) {
    return FeatureManifest.read(directory)
        .orElseThrow(
            () ->
                new LongAlignException(
                    directory + " has no manifest.json: not a feature cache, or none yet"));
  }

  /**
   * What a cache was computed from, complete or not.
   *
   * @throws LongAlignException if there is none
   */
  public static FeatureKey key(Path directory) {
    return manifest(directory).key();
  }

  /** Whether a cache has been finished; false if there is none. */
  public static boolean isComplete(Path directory) {
    return FeatureManifest.read(directory).map(FeatureManifest::complete).orElse(false);
  }

  static void checkSize(Path directory, FeatureManifest.Shard shard) {
    Path file = directory.resolve(shard.file());
    try {
      long size = Files.isRegularFile(file) ? Files.size(file) : -1;
      if (size != shard.bytes()) {
        throw new LongAlignException(
            file
                + ": expected "
                + shard.bytes()
                + " bytes, found "
                + (size < 0 ? "no file" : size)
                + "; the cache is damaged: delete its directory and compute it again");
      }
    } catch (IOException unreadable) {
      throw new LongAlignException(file + " cannot be read: " + Reasons.of(unreadable), unreadable);
    }
  }

  /** The examples of a shard, in memory. */
  static List<FeatureExample> copy(Path directory, FeatureManifest.Shard shard) {
    Shard from = open(directory, shard);
    try (SafetensorsFile file = from.file()) {
      List<FeatureExample> copies = new ArrayList<>();
      for (int i = 0; i < shard.examples(); i++) {
        FeatureExample example = example(from, i);
        Map<String, StoredTensor> tensors = new HashMap<>();
        example
            .tensors()
            .forEach(
                (name, tensor) -> {
                  ByteBuffer bytes = ByteBuffer.allocate(Math.toIntExact(tensor.byteSize()));
                  bytes.put(tensor.data()).flip();
                  tensors.put(name, StoredTensor.of(name, tensor.dtype(), tensor.shape(), bytes));
                });
        copies.add(new FeatureExample(example.id(), example.caption(), tensors));
      }
      return copies;
    }
  }

  private static List<Map<String, StoredTensor>> group(SafetensorsFile file, int count) {
    if (count > file.tensors().size()) {
      throw new LongAlignException(
          file.source() + ": expected " + count + " examples, found fewer; the cache is damaged");
    }
    List<Map<String, StoredTensor>> examples = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      examples.add(new HashMap<>());
    }
    for (StoredTensor tensor : file.tensors()) {
      int slash = tensor.name().indexOf('/');
      String number = slash < 0 ? "" : tensor.name().substring(0, slash);
      int index = number.matches("[0-9]{1,9}") ? Integer.parseInt(number) : count;
      if (index >= count) {
        throw new LongAlignException(
            file.source() + ": unexpected tensor '" + tensor.name() + "'; the cache is damaged");
      }
      String name = tensor.name().substring(slash + 1);
      examples.get(index).put(name, tensor.named(name));
    }
    return examples;
  }

  /**
   * Compares every shard with its hash: reads all of it.
   *
   * @throws LongAlignException naming the first shard that has changed since it was written
   */
  public void verify() {
    List<FeatureManifest.Shard> all = new ArrayList<>(manifest.shards());
    if (manifest.shared() != null) {
      all.add(manifest.shared());
    }
    for (FeatureManifest.Shard shard : all) {
      Path file = directory.resolve(shard.file());
      String found = Sha256.of(file);
      if (!found.equals(shard.sha256())) {
        throw new LongAlignException(
            file
                + ": its content has changed since it was written (SHA-256 expected "
                + shard.sha256()
                + ", found "
                + found
                + "); delete the cache and compute it again");
      }
    }
  }

  @Override
  public OptionalLong size() {
    return OptionalLong.of(firsts[shards.size()]);
  }

  @Override
  public FeatureExample example(long index) {
    Objects.checkIndex(index, firsts[shards.size()]);
    int found = Arrays.binarySearch(firsts, index);
    int shard = found >= 0 ? found : -found - 2;
    int local = Math.toIntExact(index - firsts[shard]);
    return example(shards.get(shard), local);
  }

  private static FeatureExample example(Shard from, int local) {
    Map<String, String> metadata = from.file().metadata();
    return new FeatureExample(
        metadata.getOrDefault(local + "/id", ""),
        metadata.getOrDefault(local + "/caption", ""),
        from.examples().get(local));
  }

  /** What belongs to all examples, such as the features of the empty caption. */
  public Optional<FeatureExample> shared() {
    return Optional.ofNullable(shared);
  }

  /** What was cached, and what was left out and why. */
  public SkipReport report() {
    return new SkipReport(
        manifest.examples(), manifest.skipped().count(), manifest.skipped().named());
  }

  @Override
  public String source() {
    return directory.toString();
  }

  @Override
  public void close() {
    shards.forEach(shard -> shard.file().close());
    if (sharedFile != null) {
      sharedFile.close();
    }
  }
}
