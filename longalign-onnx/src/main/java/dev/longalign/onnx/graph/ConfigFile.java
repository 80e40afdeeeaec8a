package dev.longalign.onnx.graph;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import com.google.gson.JsonPrimitive;
import dev.longalign.LongAlignException;
import java.io.IOException;
import java.io.Reader;
import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;

/** A model's config.json, read with errors that name the file and the entry. */
final class ConfigFile {
  private final Path file;
  private final JsonObject json;

  private ConfigFile(Path file, JsonObject json) {
    this.file = file;
    this.json = json;
  }

  static ConfigFile read(Path file) {
    try (Reader reader = Files.newBufferedReader(file)) {
      JsonElement root = JsonParser.parseReader(reader);
      if (!root.isJsonObject()) {
        throw new LongAlignException(file + ": expected a JSON object, found " + abbreviate(root));
      }
      return new ConfigFile(file, root.getAsJsonObject());
    } catch (IOException e) {
      throw new LongAlignException(
          "cannot read " + file + " (" + e + "); a model directory has a config.json beside its weights", e);
    } catch (JsonParseException e) {
      throw new LongAlignException(file + " is not JSON: " + e.getMessage() + "; download it again", e);
    }
  }

  Path file() {
    return file;
  }

  boolean has(String key) {
    return json.has(key) && !json.get(key).isJsonNull();
  }

  /** The object under {@code key}, its entries overridden by those of the object under {@code overrideKey}, if any. */
  ConfigFile section(String key, String overrideKey) {
    JsonObject merged = new JsonObject();
    for (String part : new String[] {key, overrideKey}) {
      if (has(part)) {
        if (!json.get(part).isJsonObject()) {
          throw wrong(part, "an object");
        }
        json.getAsJsonObject(part).entrySet().forEach(entry -> merged.add(entry.getKey(), entry.getValue()));
      }
    }
    return new ConfigFile(file, merged);
  }

  /** A whole number of at least {@code least}. */
  int integer(String key, int fallback, int least) {
    if (!has(key)) {
      return fallback;
    }
    try {
      int value = new BigDecimal(number(key).getAsString()).intValueExact();
      if (value >= least) {
        return value;
      }
    } catch (ArithmeticException e) {
      // Reported below, as any other number that is no size.
    }
    throw wrong(key, "a whole number of at least " + least);
  }

  float positive(String key, float fallback) {
    float value = has(key) ? number(key).getAsFloat() : fallback;
    if (!(value > 0) || Float.isInfinite(value)) {
      throw wrong(key, "a positive number");
    }
    return value;
  }

  String string(String key, String fallback) {
    if (!has(key)) {
      return fallback;
    }
    if (!(json.get(key) instanceof JsonPrimitive value) || !value.isString()) {
      throw wrong(key, "a string");
    }
    return value.getAsString();
  }

  boolean bool(String key, boolean fallback) {
    if (!has(key)) {
      return fallback;
    }
    if (!(json.get(key) instanceof JsonPrimitive value) || !value.isBoolean()) {
      throw wrong(key, "true or false");
    }
    return value.getAsBoolean();
  }

  /** A message that {@code key} is not what it should be. */
  LongAlignException wrong(String key, String expected) {
    return new LongAlignException(
        file + ": expected \"" + key + "\" to be " + expected + ", found "
            + (json.has(key) ? abbreviate(json.get(key)) : "nothing"));
  }

  private JsonPrimitive number(String key) {
    if (!(json.get(key) instanceof JsonPrimitive value) || !value.isNumber()) {
      throw wrong(key, "a number");
    }
    return value;
  }

  private static String abbreviate(JsonElement element) {
    String text = element.toString();
    return text.length() > 80 ? text.substring(0, 80) + "..." : text;
  }
}
