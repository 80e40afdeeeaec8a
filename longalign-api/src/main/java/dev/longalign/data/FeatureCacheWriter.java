package dev.longalign.data;

import dev.longalign.LongAlignException;
import dev.longalign.io.AtomicFiles;
import dev.longalign.io.LockFile;
import dev.longalign.io.Reasons;
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
import java.util.Locale;
import java.util.Map;

/**
 * Writes a {@link FeatureCache}, shard by shard; what is interrupted goes on after the last {@link
 * #flush}. However often that happens, the finished cache is the same, byte for byte.
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
 * <p>Not thread-safe; one writer a directory, another is refused. Closing without {@link #finish}
 * leaves an unfinished cache, which readers refuse and the next writer continues.
 */
public final class FeatureCacheWriter implements AutoCloseable {
  private final Path directory;
  private final FeatureKey key;
  private final long shardBytes;
  private final LockFile lock;
  private final List<FeatureManifest.Shard> shards = new ArrayList<>();
  private final List<FeatureExample> pending = new ArrayList<>();
  private long pendingBytes;
  private final List<Skip> skips = new ArrayList<>();
  private FeatureManifest.Shard shared;

  /** What {@link #flush} has written of the pending examples; null: nothing. */
  private FeatureManifest.Shard unfinished;

  private long skipped;
  private long next;
  private boolean finished;

  FeatureCacheWriter(Path directory, FeatureKey key, long shardBytes) {
    this.directory = directory;
    this.key = key;
    this.shardBytes = shardBytes;
    try {
      Files.createDirectories(directory);
    } catch (IOException failure) {
      throw new LongAlignException(directory + " cannot be made: " + Reasons.of(failure), failure);
    }
    this.lock = LockFile.acquire(directory.resolve(LockFile.NAME), directory);
    try {
      resume(FeatureManifest.read(directory).orElse(FeatureManifest.empty(key)));
    } catch (RuntimeException e) {
      lock.close();
      throw e;
    }
  }

  private void resume(FeatureManifest manifest) {
    key.check(directory, manifest.key());
    if (manifest.complete()) {
      throw new LongAlignException(
          directory + " is complete already; open it, or write to another directory");
    }
    if (lock.exclusive()) {
      AtomicFiles.clean(directory);
    }
    manifest.shards().forEach(shard -> FeatureCache.checkSize(directory, shard));
    shards.addAll(manifest.shards());
    if (!shards.isEmpty() && shards.get(shards.size() - 1).isUnfinished()) {
      unfinished = shards.remove(shards.size() - 1);
      pending.addAll(FeatureCache.copy(directory, unfinished));
      pending.forEach(example -> pendingBytes += bytes(example));
    }
    shared = manifest.shared();
    if (shared != null) {
      FeatureCache.checkSize(directory, shared);
    }
    skips.addAll(manifest.skipped().named());
    skipped = manifest.skipped().count();
    next = manifest.next();
  }

  private static long bytes(FeatureExample example) {
    return example.tensors().values().stream().mapToLong(StoredTensor::byteSize).sum();
  }

  /** The first index of the source dataset that has neither been added nor left out. */
  public long next() {
    return next;
  }

  /** Whether {@link #share} has been called, in this run or an earlier one. */
  public boolean hasShared() {
    return shared != null;
  }

  /**
   * Writes what belongs to all examples, such as the features of the empty caption.
   *
   * @throws LongAlignException if it cannot be written
   */
  public void share(FeatureExample example) {
    shared = shard(FeatureManifest.SHARED, List.of(example));
    try {
      writeManifest(false);
    } catch (RuntimeException failed) {
      shared = null;
      throw failed;
    }
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
    pendingBytes += bytes(example);
    next = index + 1;
    if (pendingBytes >= shardBytes) {
      endShard();
    }
  }

  /**
   * Leaves out an example, and remembers why.
   *
   * @param index of the example in the source dataset; larger than any before
   */
  public void skip(long index, String reason) {
    skipped++;
    if (skips.size() < SkipReport.MAX_NAMED) {
      skips.add(new Skip(0, index, reason));
    }
    next = Math.max(next, index + 1);
  }

  /** What has been added and left out, by earlier, interrupted runs too. */
  public SkipReport report() {
    return new SkipReport(size(), skipped, skips);
  }

  /**
   * Completes the cache.
   *
   * @param size of the source dataset: all of it has been looked at
   */
  public void finish(long size) {
    next = Math.max(next, size);
    endShard();
    if (shards.isEmpty()) {
      throw new LongAlignException(
          directory
              + ": no examples to cache"
              + (skips.isEmpty()
                  ? ""
                  : "; " + skipped + " could not be used, the first: " + skips.get(0).reason()));
    }
    writeManifest(true);
    finished = true;
  }

  /**
   * Writes what has been added since the last shard ended, so that an interruption loses nothing.
   *
   * @throws LongAlignException if it cannot be written; as {@link #add}
   */
  public void flush() {
    if (unfinished == null || unfinished.examples() < pending.size()) {
      write(FeatureManifest.unfinished(shards.size(), pending.size()));
    }
  }

  private void endShard() {
    write(String.format(Locale.ROOT, "features-%05d.safetensors", shards.size()));
    if (unfinished != null) {
      shards.add(unfinished);
      unfinished = null;
    }
    pending.clear();
    pendingBytes = 0;
  }

  /** The pending examples; then the manifest, which names them; then what it named before goes. */
  private void write(String name) {
    if (pending.isEmpty()) {
      return;
    }
    FeatureManifest.Shard before = unfinished;
    try {
      unfinished = shard(name, pending);
    } catch (LongAlignException failed) {
      if (failed.getCause() instanceof IOException) {
        throw new LongAlignException(failed.getMessage() + kept(), failed);
      }
      throw failed;
    }
    try {
      writeManifest(false);
    } catch (RuntimeException failed) {
      unfinished = before;
      discard(directory.resolve(name));
      throw failed;
    }
    if (before != null) {
      discard(directory.resolve(before.file()));
    }
  }

  private String kept() {
    long examples = written().stream().mapToLong(FeatureManifest.Shard::examples).sum();
    return ". The cache keeps the " + examples + " examples before; run it again to continue";
  }

  private List<FeatureManifest.Shard> written() {
    List<FeatureManifest.Shard> all = new ArrayList<>(shards);
    if (unfinished != null) {
      all.add(unfinished);
    }
    return all;
  }

  private void writeManifest(boolean complete) {
    FeatureManifest.Skipped left = new FeatureManifest.Skipped(skipped, skips);
    new FeatureManifest(key, complete, next, written(), shared, left).write(directory);
  }

  private FeatureManifest.Shard shard(String name, List<FeatureExample> examples) {
    Map<String, String> metadata = new HashMap<>();
    List<StoredTensor> tensors = new ArrayList<>();
    for (int i = 0; i < examples.size(); i++) {
      FeatureExample example = examples.get(i);
      metadata.put(i + "/id", valid(example.id()));
      metadata.put(i + "/caption", valid(example.caption()));
      String prefix = i + "/";
      example.tensors().forEach((key, tensor) -> tensors.add(tensor.named(prefix + key)));
    }
    Path file = directory.resolve(name);
    SafetensorsWriter.write(file, tensors, metadata);
    return new FeatureManifest.Shard(name, examples.size(), size(file), Sha256.of(file));
  }

  /** A shard that no manifest names would lie there for ever. */
  private static void discard(Path file) {
    try {
      Files.deleteIfExists(file);
    } catch (IOException stays) {
      // The next writer replaces it.
    }
  }

  /** The text with half surrogate pairs, which no UTF-8 file can hold, replaced. */
  private static String valid(String text) {
    return new String(text.getBytes(StandardCharsets.UTF_8), StandardCharsets.UTF_8);
  }

  private static long size(Path file) {
    try {
      return Files.size(file);
    } catch (IOException failure) {
      throw new LongAlignException(file + " cannot be read: " + Reasons.of(failure), failure);
    }
  }

  /** Ends without completing, unless {@link #finish} did; pending examples are dropped. */
  @Override
  public void close() {
    pending.clear();
    finished = true;
    lock.close();
  }
}
