package dev.longalign.io;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.longalign.LongAlignException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Several files that an index ({@code *.safetensors.index.json}, {@code *.bin.index.json}) presents
 * as one: its {@code weight_map} gives each tensor's file, which must lie in the index's own
 * directory.
 */
final class ShardedTensorFile implements TensorFile {
  private final String source;
  private final Map<String, TensorFile> shardOf;
  private final Map<String, TensorFile> shards;
  private final Map<String, String> metadata;

  private ShardedTensorFile(
      String source,
      Map<String, TensorFile> shardOf,
      Map<String, TensorFile> shards,
      Map<String, String> metadata) {
    this.source = source;
    this.shardOf = Collections.unmodifiableMap(shardOf);
    this.shards = shards;
    this.metadata = Collections.unmodifiableMap(metadata);
  }

  static ShardedTensorFile open(Path index) {
    String source = Names.of(index);
    JsonObject json = Json.readObject(index);
    JsonElement weightMap = json.get("weight_map");
    if (weightMap == null || !weightMap.isJsonObject()) {
      throw new LongAlignException(
          source
              + ": key 'weight_map': expected an object (tensor name to file), found "
              + Json.kind(weightMap));
    }
    Map<String, TensorFile> shards = new LinkedHashMap<>();
    Map<String, TensorFile> shardOf = new LinkedHashMap<>();
    List<String> missing = new ArrayList<>();
    for (Map.Entry<String, JsonElement> entry : weightMap.getAsJsonObject().entrySet()) {
      String shardName = shardName(source, entry.getKey(), entry.getValue());
      Path shardPath = Names.path(index.resolveSibling(""), shardName, source);
      if (!shards.containsKey(shardName) && !Files.isRegularFile(shardPath)) {
        throw new LongAlignException(
            source
                + ": shard "
                + Names.printable(shardName)
                + " is not there (an incomplete download?)");
      }
      TensorFile shard = shards.computeIfAbsent(shardName, name -> TensorFiles.open(shardPath));
      shardOf.put(entry.getKey(), shard);
      if (!shard.contains(entry.getKey())) {
        missing.add("'" + Names.printable(entry.getKey()) + "' in " + Names.printable(shardName));
      }
    }
    if (!missing.isEmpty()) {
      throw new LongAlignException(
          source
              + ": "
              + missing.size()
              + " tensors are not in the shard that the index gives: "
              + missing.subList(0, Math.min(3, missing.size())));
    }
    return new ShardedTensorFile(source, shardOf, shards, metadata(json));
  }

  private static String shardName(String source, String tensor, JsonElement value) {
    boolean text = value.isJsonPrimitive() && value.getAsJsonPrimitive().isString();
    String name = text ? value.getAsString() : "";
    boolean plain = name.matches("[^/\\\\:\\x00-\\x1f]+") && !name.startsWith(".");
    if (!plain || name.endsWith(".json")) {
      throw new LongAlignException(
          source
              + ": tensor '"
              + Names.printable(tensor)
              + "': expected the name of a weight file in the same directory, found "
              + Json.kind(value));
    }
    return name;
  }

  private static Map<String, String> metadata(JsonObject json) {
    Map<String, String> metadata = new LinkedHashMap<>();
    JsonElement element = json.get("metadata");
    if (element != null && element.isJsonObject()) {
      element
          .getAsJsonObject()
          .entrySet()
          .forEach(
              entry -> {
                JsonElement value = entry.getValue();
                metadata.put(
                    entry.getKey(),
                    value.isJsonPrimitive() ? value.getAsString() : value.toString());
              });
    }
    return metadata;
  }

  @Override
  public Set<String> names() {
    return shardOf.keySet();
  }

  @Override
  public StoredTensor tensor(String name) {
    TensorFile shard = shardOf.get(name);
    if (shard == null) {
      throw Names.missing(source, name, names());
    }
    return shard.tensor(name);
  }

  @Override
  public Map<String, String> unsupported() {
    Map<String, String> unsupported = new LinkedHashMap<>();
    shards.values().forEach(shard -> unsupported.putAll(shard.unsupported()));
    unsupported.keySet().retainAll(shardOf.keySet());
    return unsupported;
  }

  @Override
  public Map<String, String> metadata() {
    return metadata;
  }

  @Override
  public String source() {
    return source;
  }

  @Override
  public void close() {
    shards.values().forEach(TensorFile::close);
  }
}
