package dev.longalign.data;

import dev.longalign.LongAlignException;
import dev.longalign.io.Sha256;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;

/**
 * All that decides what is in a {@link FeatureCache}: the dataset, the preprocessing, the hashes of
 * the weights that computed it. A cache of another key is another cache.
 *
 * <pre>{@code
 * FeatureKey key = FeatureKey.of(Map.of(
 *     "dataset", "LongAlign, 2000000 rows", "resolution", "512",
 *     "vae", Sha256.of(vaeFile), "text_encoder", Sha256.of(clipFile)));
 * }</pre>
 *
 * @param parts by name; messages quote those that differ
 */
public record FeatureKey(Map<String, String> parts) {
  public FeatureKey {
    parts = Collections.unmodifiableMap(new TreeMap<>(parts));
    parts.forEach((name, value) -> Objects.requireNonNull(value, name));
  }

  public static FeatureKey of(Map<String, String> parts) {
    return new FeatureKey(parts);
  }

  /** SHA-256 over names and values with their lengths, in hexadecimal digits. */
  public String hash() {
    Sha256 sha256 = new Sha256();
    parts.forEach(
        (name, value) -> {
          update(sha256, name);
          update(sha256, value);
        });
    return sha256.hex();
  }

  private static void update(Sha256 sha256, String text) {
    sha256.update(text.getBytes(StandardCharsets.UTF_8).length + ":").update(text);
  }

  /** What differs from another key, for a person; empty if nothing does. */
  List<String> differences(FeatureKey found) {
    TreeMap<String, String> names = new TreeMap<>(parts);
    names.putAll(found.parts);
    List<String> differences = new ArrayList<>();
    for (String name : names.keySet()) {
      String wanted = parts.getOrDefault(name, "nothing");
      String there = found.parts.getOrDefault(name, "nothing");
      if (!wanted.equals(there)) {
        differences.add(name + ": expected " + wanted + ", found " + there);
      }
    }
    return differences;
  }

  /** Refuses another key. */
  void check(Object cache, FeatureKey found) {
    List<String> differences = differences(found);
    if (!differences.isEmpty()) {
      throw new LongAlignException(
          cache
              + " was computed from something else: "
              + String.join("; ", differences)
              + ". Compute it again, in another directory");
    }
  }
}
