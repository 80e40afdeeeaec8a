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
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * {@code manifest.json} of a {@link FeatureCache}: written anew, atomically, after every shard, so
 * that it never names a shard that is not whole.
 *
 * @param complete whether the writer has finished
 * @param next the first index of the source dataset that has not been looked at
 */
record FeatureManifest(FeatureKey key, boolean complete, long next, List<Shard> shards) {
  private static final String NAME = "manifest.json";
  private static final String FORMAT = "longalign-features";
  private static final int VERSION = 1;

  /**
   * A safetensors file.
   *
   * @param sha256 of its content
   */
  record Shard(String file, int examples, long bytes, String sha256) {}

  FeatureManifest {
    shards = List.copyOf(shards);
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
    for (Shard shard : shards) {
      JsonObject entry = new JsonObject();
      entry.addProperty("file", shard.file());
      entry.addProperty("examples", shard.examples());
      entry.addProperty("bytes", shard.bytes());
      entry.addProperty("sha256", shard.sha256());
      list.add(entry);
    }
    json.add("shards", list);
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
    List<Shard> shards = new ArrayList<>();
    if (!config.isList("shards")) {
      throw config.refusal("shards", "a list of shards");
    }
    for (JsonElement element : config.json().getAsJsonArray("shards")) {
      if (!element.isJsonObject()) {
        throw config.refusal("shards", "a list of objects");
      }
      shards.add(shard(Config.of(config.source(), element.getAsJsonObject())));
    }
    return Optional.of(
        new FeatureManifest(found, config.getBoolean("complete"), config.getLong("next"), shards));
  }

  private static Shard shard(Config entry) {
    String file = entry.getString("file");
    if (!file.matches("features-[0-9]+\\.safetensors")) {
      throw entry.refusal("file", "the name of a shard");
    }
    int examples = entry.getInt("examples");
    if (examples < 1) {
      throw entry.refusal("examples", "at least 1");
    }
    return new Shard(file, examples, entry.getLong("bytes"), entry.getString("sha256"));
  }
}
