package dev.longalign.training;

import dev.longalign.LongAlignException;
import dev.longalign.data.Batch;
import dev.longalign.data.DataLoader;
import dev.longalign.data.Dataset;
import dev.longalign.data.FeatureCache;
import dev.longalign.data.FeatureCacheWriter;
import dev.longalign.data.FeatureExample;
import dev.longalign.data.FeatureKey;
import dev.longalign.data.PicturePreprocessing;
import dev.longalign.data.Skip;
import dev.longalign.data.SkipReport;
import dev.longalign.data.TrainingExample;
import dev.longalign.pipeline.ModelFiles;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Queue;
import java.util.TreeMap;

/**
 * Computes a {@link FeatureCache}: latents as moments, so that training still samples them anew at
 * every step, CLIP's half of the context and T5's hidden states, and those of the empty caption.
 * Examples that cannot be used are left out, counted and named. What is interrupted goes on where
 * it was.
 *
 * <pre>{@code
 * TrainingData data = TrainingData.parse("pictures", base);
 * try (PictureEncoder encoder = new PictureEncoder(EncoderProvider.find(), files, backend, 0)) {
 *   new FeatureCaching(data, files, CacheSettings.DEFAULT, cacheDirectory).run(encoder, listener);
 * }
 * }</pre>
 */
public final class FeatureCaching {
  /** A process that is killed loses what it computed in this time. */
  private static final Duration PATIENCE = Duration.ofMinutes(1);

  /** Changed when the same files would give other features. */
  private static final String FORMAT = "moments 1";

  private final TrainingData data;
  private final Path directory;
  private final CacheSettings settings;
  private final int resolution;
  private final FeatureKey key;

  /** Hears of the progress; on the thread that computes. */
  public interface Listener {
    /** So many examples of the data have been looked at. */
    default void onProgress(long done, long total) {}

    /** One was left out. */
    default void onSkip(Skip skip) {}
  }

  /**
   * What came of it.
   *
   * @param complete false if the thread was interrupted before the end
   * @param examples in the cache, and those that were left out, earlier runs included
   * @param computed examples that this run encoded
   * @param shortened of them, how many captions were cut, see {@link TrainingExample#droppedWords}
   */
  public record Report(boolean complete, SkipReport examples, long computed, long shortened) {}

  /** One of the order: what has been loaded. */
  private record Loaded(long index, TrainingExample example) {}

  /**
   * @param files whose autoencoder and text encoders compute; they are hashed here
   * @param directory of the cache; is created
   */
  public FeatureCaching(
      TrainingData data, ModelFiles files, CacheSettings settings, Path directory) {
    this.data = data;
    this.directory = directory;
    this.settings = settings;
    this.resolution = files.side(settings.resolution());
    Map<String, String> parts = new TreeMap<>(CachedFeatures.modelParts(files));
    parts.put("data", data.description());
    TrainingData.Options options = data.options();
    parts.put(
        "captions",
        String.join(
            ", ",
            options.captions().toString(),
            options.columns().toString(),
            "key " + options.captionKey()));
    parts.put("features", FORMAT);
    parts.put("resolution", Integer.toString(resolution));
    parts.put("storage", settings.storage().name().toLowerCase(Locale.ROOT));
    this.key = FeatureKey.of(parts);
  }

  /** What the cache is computed from. */
  public FeatureKey key() {
    return key;
  }

  /**
   * Computes, from where an earlier run was interrupted. A complete cache is compared with its
   * hashes instead. An interrupt of the thread stops after the batch that is being encoded; all
   * that was computed is kept. Of a process that is killed, all but the last minute is.
   *
   * @param encoder of the same model
   * @throws LongAlignException if the data has no end or nothing usable in it, the directory has a
   *     cache of something else, or it cannot be written: then all that came before is kept
   */
  public Report run(PictureEncoder encoder, Listener listener) {
    if (FeatureCache.isComplete(directory)) {
      try (FeatureCache cache = FeatureCache.open(directory, key)) {
        cache.verify();
        return new Report(true, cache.report(), 0, 0);
      }
    }
    try (Dataset<TrainingExample> pictures = data.open();
        FeatureCacheWriter writer = FeatureCache.write(directory, key, settings.shardBytes())) {
      OptionalLong size = pictures.size();
      if (size.isEmpty()) {
        throw new LongAlignException(
            "cache: expected data with an end, found "
                + data
                + "; say how many, for example "
                + data
                + ":5000");
      }
      if (!writer.hasShared()) {
        writer.share(encoder.emptyFeatures(settings.storage()));
      }
      return new Run(encoder, listener, writer, size.getAsLong())
          .over(pictures.map(new PicturePreprocessing(resolution)));
    }
  }

  /** One pass from where the writer stands. */
  private final class Run {
    private final PictureEncoder encoder;
    private final Listener listener;
    private final FeatureCacheWriter writer;
    private final long size;
    private final Queue<Skip> skips = new ArrayDeque<>();
    private final List<Loaded> batch = new ArrayList<>();
    private long lastFlush = System.nanoTime();
    private long computed;
    private long shortened;

    Run(PictureEncoder encoder, Listener listener, FeatureCacheWriter writer, long size) {
      this.encoder = encoder;
      this.listener = listener;
      this.writer = writer;
      this.size = size;
    }

    Report over(Dataset<TrainingExample> pictures) {
      if (writer.next() < size) {
        try (DataLoader<TrainingExample> loader = loader(pictures)) {
          listener.onProgress(writer.next(), size);
          while (hasNext(loader)) {
            Batch<TrainingExample> one = loader.next();
            long index = one.next().epoch() > 0 ? size - 1 : one.next().index() - 1;
            batch.add(new Loaded(index, one.examples().get(0)));
            if (batch.size() == settings.batchSize()) {
              encode();
            }
          }
        }
      }
      boolean interrupted = Thread.currentThread().isInterrupted();
      if (interrupted) {
        writer.flush();
      } else {
        encode();
        skipUpTo(size);
        writer.finish(size);
        listener.onProgress(size, size);
      }
      return new Report(!interrupted, writer.report(), computed, shortened);
    }

    /** False at the end, and once the thread is interrupted, maybe while it waits. */
    private boolean hasNext(DataLoader<TrainingExample> loader) {
      try {
        return !Thread.currentThread().isInterrupted() && loader.hasNext();
      } catch (LongAlignException waiting) {
        if (Thread.currentThread().isInterrupted()) {
          return false;
        }
        throw waiting;
      }
    }

    /** One by one, in the data's order. */
    private DataLoader<TrainingExample> loader(Dataset<TrainingExample> pictures) {
      return DataLoader.builder(pictures)
          .shuffle(false)
          .epochs(1)
          .threads(settings.threads())
          .prefetch(2 * settings.batchSize() + settings.threads())
          .listener(
              skip -> {
                skips.add(skip);
                listener.onSkip(skip);
              })
          .start(writer.next())
          .build();
    }

    private void encode() {
      if (batch.isEmpty()) {
        return;
      }
      List<TrainingExample> examples = batch.stream().map(Loaded::example).toList();
      List<FeatureExample> features = encoder.features(examples, settings.storage());
      for (int i = 0; i < features.size(); i++) {
        skipUpTo(batch.get(i).index());
        writer.add(batch.get(i).index(), features.get(i));
        computed++;
        shortened += examples.get(i).droppedWords() > 0 ? 1 : 0;
      }
      batch.clear();
      if (System.nanoTime() - lastFlush > PATIENCE.toNanos()) {
        writer.flush();
        lastFlush = System.nanoTime();
      }
      listener.onProgress(writer.next(), size);
    }

    /** Examples and skips reach the writer in the order of the data. */
    private void skipUpTo(long index) {
      while (!skips.isEmpty() && skips.peek().index() < index) {
        Skip skip = skips.remove();
        writer.skip(skip.index(), skip.reason());
      }
    }
  }
}
