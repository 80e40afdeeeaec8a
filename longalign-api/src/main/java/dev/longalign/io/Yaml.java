package dev.longalign.io;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import dev.longalign.LongAlignException;
import java.util.List;
import java.util.Map;
import org.snakeyaml.engine.v2.api.Load;
import org.snakeyaml.engine.v2.api.LoadSettings;
import org.snakeyaml.engine.v2.exceptions.YamlEngineException;
import org.snakeyaml.engine.v2.schema.CoreSchema;

/** YAML 1.2 as JSON: mappings, lists, strings, numbers, booleans; tags make no objects. */
final class Yaml {
  private Yaml() {}

  static JsonObject parseObject(String text, String source) {
    Object root;
    try {
      root = new Load(settings(source)).loadFromString(text);
    } catch (YamlEngineException invalid) {
      String reason = Names.printable(String.valueOf(invalid.getMessage()));
      throw new LongAlignException(source + ": not valid YAML: " + reason, invalid);
    }
    JsonElement json = toJson(root, source);
    if (!json.isJsonObject()) {
      throw new LongAlignException(source + ": expected keys and values, found " + Json.kind(json));
    }
    return json.getAsJsonObject();
  }

  private static LoadSettings settings(String source) {
    return LoadSettings.builder().setLabel(source).setSchema(new CoreSchema()).build();
  }

  private static JsonElement toJson(Object value, String source) {
    if (value == null) {
      return JsonNull.INSTANCE;
    } else if (value instanceof Map<?, ?> map) {
      JsonObject object = new JsonObject();
      map.forEach(
          (key, entry) -> {
            if (!(key instanceof String name)) {
              throw new LongAlignException(
                  source + ": expected keys that are words, found " + Names.printable("" + key));
            }
            object.add(name, toJson(entry, source));
          });
      return object;
    } else if (value instanceof List<?> list) {
      JsonArray array = new JsonArray();
      list.forEach(item -> array.add(toJson(item, source)));
      return array;
    } else if (value instanceof Boolean bool) {
      return new JsonPrimitive(bool);
    } else if (value instanceof Number number) {
      return new JsonPrimitive(number);
    } else if (value instanceof String string) {
      return new JsonPrimitive(string);
    }
    throw new LongAlignException(
        source
            + ": expected text, numbers, true or false, lists and mappings, found a value of type "
            + value.getClass().getSimpleName());
  }
}
