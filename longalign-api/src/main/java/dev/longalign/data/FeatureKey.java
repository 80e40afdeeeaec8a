package dev.longalign.data;

import dev.longalign.LongAlignException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HexFormat;
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
 *     "vae", FeatureKey.hashOf(vaeFile), "text_encoder", FeatureKey.hashOf(clipFile)));
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
    MessageDigest digest = sha256();
    parts.forEach(
        (name, value) -> {
          update(digest, name);
          update(digest, value);
        });
    return HexFormat.of().formatHex(digest.digest());
  }

  private static void update(MessageDigest digest, String text) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    digest.update((bytes.length + ":").getBytes(StandardCharsets.UTF_8));
    digest.update(bytes);
  }

  /** SHA-256 of a file's content, in hexadecimal digits: the part that stands for weights. */
  public static String hashOf(Path file) {
    MessageDigest digest = sha256();
    try (InputStream in = Files.newInputStream(file)) {
      byte[] chunk = new byte[1 << 20];
      for (int n = in.read(chunk); n >= 0; n = in.read(chunk)) {
        digest.update(chunk, 0, n);
      }
    } catch (IOException unreadable) {
      throw new LongAlignException(file + " cannot be read: " + unreadable, unreadable);
    }
    return HexFormat.of().formatHex(digest.digest());
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException impossible) {
      throw new IllegalStateException("every Java platform has SHA-256", impossible);
    }
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
