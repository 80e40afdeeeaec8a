package dev.longalign.training;

import dev.longalign.LongAlignException;
import dev.longalign.data.FeatureCache;
import dev.longalign.data.FeatureExample;
import dev.longalign.data.FeatureKey;
import dev.longalign.io.Sha256;
import dev.longalign.pipeline.ModelFiles;
import dev.longalign.tensor.Backend;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;

/**
 * A {@link FeatureCache} that {@link FeatureCaching} computed, opened for training: pictures and
 * text encoders are not needed any more.
 *
 * <pre>{@code
 * try (CachedFeatures cached = CachedFeatures.open(directory, files, autograd)) {
 *   new AlignObjective<>(unet, adapter::forward, schedule, cached.encoder(), settings);
 *   DataLoader.builder(cached.examples()).batchSize(16).build();
 * }
 * }</pre>
 *
 * @param examples to be loaded
 * @param encoder of the examples
 */
public record CachedFeatures(FeatureCache examples, FeatureEncoder encoder)
    implements AutoCloseable {

  /**
   * Opens a complete cache.
   *
   * @param files the model that is trained
   * @throws LongAlignException if the cache is unfinished, damaged, or was computed with another
   *     autoencoder or another text encoder; the message says which
   */
  public static CachedFeatures open(Path directory, ModelFiles files, Backend backend) {
    Map<String, String> expected = new TreeMap<>(FeatureCache.key(directory).parts());
    expected.putAll(modelParts(files));
    FeatureCache cache = FeatureCache.open(directory, FeatureKey.of(expected));
    try {
      FeatureExample empty =
          cache
              .shared()
              .orElseThrow(
                  () ->
                      new LongAlignException(
                          directory
                              + ": expected the features of the empty caption, found none; compute"
                              + " the cache with this version"));
      return new CachedFeatures(cache, new FeatureEncoder(backend, empty));
    } catch (RuntimeException failed) {
      cache.close();
      throw failed;
    }
  }

  /** What of a model decides the features: hashes of its autoencoder and text encoders. */
  static Map<String, String> modelParts(ModelFiles files) {
    Map<String, Sha256> parts = new TreeMap<>();
    new TreeMap<>(files.files())
        .forEach(
            (name, file) -> {
              String part = name.substring(0, Math.max(0, name.indexOf('/')));
              switch (part) {
                case "vae", "text_encoder", "tokenizer", "t5" ->
                    parts
                        .computeIfAbsent(part, p -> new Sha256())
                        .update(name + " " + Sha256.of(file) + "\n");
                default -> {
                  // The UNet and the adapter read features, and change in training.
                }
              }
            });
    Map<String, String> hashes = new TreeMap<>();
    parts.forEach((part, sha256) -> hashes.put(part, sha256.hex()));
    return hashes;
  }

  @Override
  public void close() {
    examples.close();
  }
}
