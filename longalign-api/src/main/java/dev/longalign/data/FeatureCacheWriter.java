package dev.longalign.data;

import dev.longalign.LongAlignException;
import dev.longalign.io.SafetensorsWriter;
import dev.longalign.io.Sha256;
import dev.longalign.io.StoredTensor;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Writes a {@link FeatureCache}, shard by shard; what is interrupted goes on where the last shard
 * ended.
 *
 * <pre>{@code
 * try (FeatureCacheWriter writer = FeatureCache.write(directory, key)) {
 *   for (long i = writer.next(); i < size; i++) {
 *     writer.add(i, compute(dataset.example(i)));      // an unusable example is left out
 *   }
 *   writer.finish(size);
 * }
 * }</pre>
 *
 * <p>Not thread-safe. Closing without {@link #finish} leaves an unfinished cache, which readers
 * refuse and the next writer continues.
 */
public final class FeatureCacheWriter implements AutoCloseable {
  private final Path directory;
  private final FeatureKey key;
  private final long shardBytes;
  private final List<FeatureManifest.Shard> shards;
  private final List<FeatureExample> pending = new ArrayList<>();
  private long pendingBytes;
  private long next;
  private boolean finished;

  FeatureCacheWriter(Path directory, FeatureKey key, long shardBytes) {
    this.directory = directory;
    this.key = key;
    this.shardBytes = shardBytes;
    try {
      Files.createDirectories(directory);
    } catch (IOException failure) {
      throw new LongAlignException(directory + " cannot be made: " + failure, failure);
    }
    FeatureManifest manifest =
        FeatureManifest.read(directory).orElse(new FeatureManifest(key, false, 0, List.of()));
    key.check(directory, manifest.key());
    if (manifest.complete()) {
      throw new LongAlignException(
          directory + " is complete already; open it, or write to another directory");
    }
    manifest.shards().forEach(shard -> FeatureCache.checkSize(directory, shard));
    this.shards = new ArrayList<>(manifest.shards());
    this.next = manifest.next();
  }

  /** The first index of the source dataset that is not in the finished shards, nor left out. */
  public long next() {
    return next;
  }

  /** How many examples have been added, those of an earlier, interrupted run included. */
  public long size() {
    return shards.stream().mapToLong(FeatureManifest.Shard::examples).sum() + pending.size();
  }

  /**
   * Adds what was computed from an example. The tensors' bytes are asked for when the shard is
   * written, so they must stay valid until then.
   *
   * @param index of the example in the source dataset; larger than any before
   * @throws LongAlignException if a shard cannot be written (a full disk): the cache then has all
   *     that came before, and another writer continues it
   */
  public void add(long index, FeatureExample example) {
    if (finished) {
      throw new LongAlignException(directory + " is finished; nothing can be added");
    }
    if (index < next) {
      throw new LongAlignException(
          directory + ": example " + index + " comes late, expected " + next + " or later");
    }
    for (String name : example.tensors().keySet()) {
      if (name.isEmpty() || name.indexOf('/') >= 0) {
        throw new LongAlignException(example.id() + ": '" + name + "' cannot name a feature");
      }
    }
    pending.add(example);
    pendingBytes += example.tensors().values().stream().mapToLong(StoredTensor::byteSize).sum();
    next = index + 1;
    if (pendingBytes >= shardBytes) {
      flush();
    }
  }

  /**
   * Completes the cache.
   *
   * @param size of the source dataset: all of it has been looked at
   */
  public void finish(long size) {
    next = Math.max(next, size);
    flush();
    if (shards.isEmpty()) {
      throw new LongAlignException(directory + ": no examples to cache");
    }
    new FeatureManifest(key, true, next, shards).write(directory);
    finished = true;
  }

  private void flush() {
    if (pending.isEmpty()) {
      return;
    }
    String name = String.format("features-%05d.safetensors", shards.size());
    Map<String, String> metadata = new HashMap<>();
    List<StoredTensor> tensors = new ArrayList<>();
    for (int i = 0; i < pending.size(); i++) {
      FeatureExample example = pending.get(i);
      metadata.put(i + "/id", valid(example.id()));
      metadata.put(i + "/caption", valid(example.caption()));
      String prefix = i + "/";
      example.tensors().forEach((key, tensor) -> tensors.add(tensor.named(prefix + key)));
    }
    Path file = directory.resolve(name);
    SafetensorsWriter.write(file, tensors, metadata);
    FeatureManifest.Shard shard =
        new FeatureManifest.Shard(name, pending.size(), size(file), Sha256.of(file));
    shards.add(shard);
    try {
      new FeatureManifest(key, false, next, shards).write(directory);
    } catch (RuntimeException failed) {
      shards.remove(shard);
      throw failed;
    }
    pending.clear();
    pendingBytes = 0;
  }

  /** The text with half surrogate pairs, which no UTF-8 file can hold, replaced. */
  private static String valid(String text) {
    return new String(text.getBytes(StandardCharsets.UTF_8), StandardCharsets.UTF_8);
  }

  private static long size(Path file) {
    try {
      return Files.size(file);
    } catch (IOException failure) {
      throw new LongAlignException(file + " cannot be read: " + failure, failure);
    }
  }

  /** Ends without completing, unless {@link #finish} did; pending examples are dropped. */
  @Override
  public void close() {
    pending.clear();
    finished = true;
  }
}
