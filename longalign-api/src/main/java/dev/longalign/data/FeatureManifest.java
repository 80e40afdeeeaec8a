package dev.longalign.data;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.longalign.LongAlignException;
import dev.longalign.io.AtomicFiles;
import dev.longalign.io.Config;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * {@code manifest.json} of a {@link FeatureCache}: written anew, atomically, after every shard, so
 * that it never names a shard that is not whole.
 *
 * @param complete whether the writer has finished
 * @param next the first index of the source dataset that has not been looked at
 * @param shared what belongs to all examples; null: nothing
 * @param skipped examples before {@code next} that could not be used
 */
record FeatureManifest(
    FeatureKey key,
    boolean complete,
    long next,
    List<Shard> shards,
    Shard shared,
    Skipped skipped) {
  static final String SHARED = "shared.safetensors";
  private static final String UNFINISHED = "unfinished-";
  private static final String NAME = "manifest.json";
  private static final String FORMAT = "longalign-features";
  private static final int VERSION = 1;

  /**
   * A safetensors file.
   *
   * @param sha256 of its content
   */
  record Shard(String file, int examples, long bytes, String sha256) {
    /** Whether it goes on growing, see {@link FeatureCacheWriter#flush}. */
    boolean isUnfinished() {
      return file.startsWith(UNFINISHED);
    }

    private JsonObject json() {
      JsonObject json = new JsonObject();
      json.addProperty("file", file);
      json.addProperty("examples", examples);
      json.addProperty("bytes", bytes);
      json.addProperty("sha256", sha256);
      return json;
    }
  }

  /**
   * How many examples were left out.
   *
   * @param named the first of them, at most {@link SkipReport#MAX_NAMED}
   */
  record Skipped(long count, List<Skip> named) {
    static final Skipped NONE = new Skipped(0, List.of());

    Skipped {
      named = List.copyOf(named);
    }

    private JsonObject json() {
      JsonObject json = new JsonObject();
      json.addProperty("count", count);
      JsonArray list = new JsonArray();
      for (Skip skip : named) {
        JsonObject entry = new JsonObject();
        entry.addProperty("index", skip.index());
        entry.addProperty("reason", skip.reason());
        list.add(entry);
      }
      json.add("named", list);
      return json;
    }

    private static Skipped of(Config config) {
      List<Skip> named = new ArrayList<>();
      for (Config entry : objects(config, "named")) {
        named.add(new Skip(0, entry.getLong("index"), entry.getString("reason")));
      }
      return new Skipped(config.getLong("count"), named);
    }
  }

  FeatureManifest {
    shards = List.copyOf(shards);
  }

  /** Of a cache that has nothing yet. */
  static FeatureManifest empty(FeatureKey key) {
    return new FeatureManifest(key, false, 0, List.of(), null, Skipped.NONE);
  }

  /** The name of a shard that does not have its size yet: another one at every flush. */
  static String unfinished(int shard, int examples) {
    return String.format(Locale.ROOT, "%s%05d-%d.safetensors", UNFINISHED, shard, examples);
  }

  long examples() {
    return shards.stream().mapToLong(Shard::examples).sum();
  }

  void write(Path directory) {
    JsonObject json = new JsonObject();
    json.addProperty("format", FORMAT);
    json.addProperty("version", VERSION);
    json.addProperty("complete", complete);
    json.addProperty("next", next);
    json.addProperty("hash", key.hash());
    JsonObject parts = new JsonObject();
    key.parts().forEach(parts::addProperty);
    json.add("key", parts);
    JsonArray list = new JsonArray();
    shards.forEach(shard -> list.add(shard.json()));
    json.add("shards", list);
    if (shared != null) {
      json.add("shared", shared.json());
    }
    json.add("skipped", skipped.json());
    byte[] bytes = json.toString().getBytes(StandardCharsets.UTF_8);
    AtomicFiles.write(directory.resolve(NAME), out -> out.write(bytes));
  }

  /** Reads and checks; empty if there is none. */
  static Optional<FeatureManifest> read(Path directory) {
    Path file = directory.resolve(NAME);
    if (!Files.isRegularFile(file)) {
      return Optional.empty();
    }
    Config config = Config.read(file);
    if (!config.getString("format", "").equals(FORMAT)) {
      throw config.refusal("format", "'" + FORMAT + "'");
    }
    if (config.getInt("version") != VERSION) {
      throw config.refusal("version", VERSION + " (another version of this library wrote it)");
    }
    Map<String, String> parts = new TreeMap<>();
    Config key = config.getConfig("key");
    key.keys().forEach(name -> parts.put(name, key.getString(name)));
    FeatureKey found = FeatureKey.of(parts);
    if (!config.getString("hash").equals(found.hash())) {
      throw new LongAlignException(config.source() + ": the key was changed by hand");
    }
    return Optional.of(
        new FeatureManifest(
            found,
            config.getBoolean("complete"),
            config.getLong("next"),
            objects(config, "shards").stream().map(FeatureManifest::shard).toList(),
            config.has("shared") ? shard(config.getConfig("shared")) : null,
            config.has("skipped") ? Skipped.of(config.getConfig("skipped")) : Skipped.NONE));
  }

  private static List<Config> objects(Config config, String key) {
    if (!config.isList(key)) {
      throw config.refusal(key, "a list of objects");
    }
    List<Config> objects = new ArrayList<>();
    for (JsonElement element : config.json().getAsJsonArray(key)) {
      if (!element.isJsonObject()) {
        throw config.refusal(key, "a list of objects");
      }
      objects.add(Config.of(config.source(), element.getAsJsonObject()));
    }
    return objects;
  }

  private static Shard shard(Config entry) {
    String file = entry.getString("file");
    if (!file.equals(SHARED) && !file.matches("(features|unfinished-[0-9]+)-[0-9]+\\.safetensors")) {
      throw entry.refusal("file", "the name of a shard");
    }
    int examples = entry.getInt("examples");
    if (examples < 1) {
      throw entry.refusal("examples", "at least 1");
    }
    return new Shard(file, examples, entry.getLong("bytes"), entry.getString("sha256"));
  }
}
