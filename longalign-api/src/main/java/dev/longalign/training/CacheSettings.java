package dev.longalign.training;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.DType;

/**
 * How a {@link FeatureCaching} computes.
 *
 * @param resolution of the pictures; 0: the model's own
 * @param storage F32, or F16 for half of the size
 * @param batchSize pictures that are encoded at once
 * @param threads that load pictures
 * @param shardBytes a file of the cache ends with the example that reaches this size; it is held in
 *     memory until then, and written every minute
 */
public record CacheSettings(
    int resolution, DType storage, int batchSize, int threads, long shardBytes) {
  /** Full precision, pictures one by one, files of 128 MiB. */
  public static final CacheSettings DEFAULT = new CacheSettings(0, DType.F32, 1, 2, 128L << 20);

  public CacheSettings {
    check(resolution >= 0, "resolution", "a side in pixels, or 0", resolution);
    check(storage == DType.F32 || storage == DType.F16, "storage", "f32 or f16", storage);
    check(batchSize >= 1, "batchSize", "a positive number", batchSize);
    check(threads >= 0, "threads", "a number of threads", threads);
    check(shardBytes >= 1, "shardBytes", "a positive number", shardBytes);
  }

  private static void check(boolean condition, String name, String expected, Object found) {
    if (!condition) {
      throw new LongAlignException(
          "cache: expected as " + name + " " + expected + ", found " + found);
    }
  }

  public CacheSettings withResolution(int side) {
    return new CacheSettings(side, storage, batchSize, threads, shardBytes);
  }

  public CacheSettings withStorage(DType dtype) {
    return new CacheSettings(resolution, dtype, batchSize, threads, shardBytes);
  }

  public CacheSettings withBatchSize(int pictures) {
    return new CacheSettings(resolution, storage, pictures, threads, shardBytes);
  }

  public CacheSettings withShardBytes(long bytes) {
    return new CacheSettings(resolution, storage, batchSize, threads, bytes);
  }
}
