package dev.longalign.io;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.longalign.LongAlignException;
import java.math.BigDecimal;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.function.Function;

/**
 * A JSON object, or the same from YAML, with typed access, for the configs of models and runs.
 * {@code null} counts as absent, as diffusers writes it. Every refusal names file, key, what was
 * expected and what was found. Immutable.
 *
 * <pre>{@code
 * Config config = Config.read(Path.of("unet/config.json"));
 * int channels = config.getInt("in_channels");
 * List<Integer> widths = config.getIntList("block_out_channels");
 * String activation = config.getString("act_fn", "silu");
 * }</pre>
 */
public final class Config {
  /** Longer numbers cost more to read than any integer needs. */
  private static final int MAX_DIGITS = 100;

  private final String source;
  private final JsonObject json;

  private Config(String source, JsonObject json) {
    this.source = source;
    this.json = json;
  }

  public static Config read(Path file) {
    return new Config(Names.of(file), Json.readObject(file));
  }

  /**
   * Reads a YAML 1.2 file, of which JSON is a part: for what people write by hand.
   *
   * @throws LongAlignException naming file and line if it is not valid, a key is there twice, or it
   *     is no mapping
   */
  public static Config readYaml(Path file) {
    String source = Names.of(file);
    return new Config(source, Yaml.parseObject(TextFile.read(file, source), source));
  }

  /** {@link #readYaml} of a text. */
  public static Config parseYaml(String source, String text) {
    return new Config(source, Yaml.parseObject(text, source));
  }

  /** A config from elsewhere; {@code source} stands for the file in messages. */
  public static Config of(String source, JsonObject json) {
    return new Config(source, json.deepCopy());
  }

  public static Config parse(String source, String text) {
    return new Config(source, Json.parseObject(text, source));
  }

  /** The file, as messages show it. */
  public String source() {
    return source;
  }

  public Set<String> keys() {
    return json.keySet();
  }

  /** Whether the key is there and not null. */
  public boolean has(String key) {
    return json.has(key) && !json.get(key).isJsonNull();
  }

  /** Whether the key holds a list. */
  public boolean isList(String key) {
    return has(key) && json.get(key).isJsonArray();
  }

  /** A copy of the whole object. */
  public JsonObject json() {
    return json.deepCopy();
  }

  public int getInt(String key) {
    return get(key, "an integer", Config::toInt);
  }

  public int getInt(String key, int absent) {
    return has(key) ? getInt(key) : absent;
  }

  public long getLong(String key) {
    return get(key, "an integer", Config::toLong);
  }

  public long getLong(String key, long absent) {
    return has(key) ? getLong(key) : absent;
  }

  /** A seed: 64 bits, written as a number from -2^63 to 2^64 - 1. */
  public long getSeed(String key) {
    return get(key, "an integer from -2^63 to 2^64 - 1", Config::toSeed);
  }

  public double getDouble(String key) {
    return get(key, "a number", Config::toDouble);
  }

  public double getDouble(String key, double absent) {
    return has(key) ? getDouble(key) : absent;
  }

  public float getFloat(String key) {
    float value = (float) getDouble(key);
    if (Float.isInfinite(value)) {
      throw refusal(key, "a number of at most " + Float.MAX_VALUE);
    }
    return value;
  }

  public float getFloat(String key, float absent) {
    return has(key) ? getFloat(key) : absent;
  }

  public boolean getBoolean(String key) {
    return get(key, "true or false", Config::toBoolean);
  }

  public boolean getBoolean(String key, boolean absent) {
    return has(key) ? getBoolean(key) : absent;
  }

  public String getString(String key) {
    return get(key, "a string", Config::toText);
  }

  public String getString(String key, String absent) {
    return has(key) ? getString(key) : absent;
  }

  /**
   * A path; a relative one starts from {@code base}.
   *
   * @throws LongAlignException if the system has no such names
   */
  public Path getPath(String key, Path base) {
    return Names.path(base, getString(key), source + ": key '" + key + "'");
  }

  public List<Integer> getIntList(String key) {
    return get(key, "a list of integers", element -> toList(element, Config::toInt));
  }

  public List<Integer> getIntList(String key, List<Integer> absent) {
    return has(key) ? getIntList(key) : absent;
  }

  /** A list of {@code count} integers, or one integer that stands for all of them. */
  public List<Integer> getIntList(String key, int count) {
    if (has(key) && !isList(key)) {
      int all = get(key, "an integer or a list of " + count + " integers", Config::toInt);
      return Collections.nCopies(count, all);
    }
    List<Integer> list = getIntList(key);
    if (list.size() != count) {
      throw refusal(key, "an integer or a list of " + count + " integers");
    }
    return list;
  }

  public List<Double> getDoubleList(String key) {
    return get(key, "a list of numbers", element -> toList(element, Config::toDouble));
  }

  public List<String> getStringList(String key) {
    return get(key, "a list of strings", element -> toList(element, Config::toText));
  }

  public List<String> getStringList(String key, List<String> absent) {
    return has(key) ? getStringList(key) : absent;
  }

  public List<Boolean> getBooleanList(String key) {
    return get(key, "a list of true and false", element -> toList(element, Config::toBoolean));
  }

  /** A nested object; messages then name the path. */
  public Config getConfig(String key) {
    JsonObject nested =
        get(key, "an object", element -> element.isJsonObject() ? element.getAsJsonObject() : null);
    return new Config(source + ": '" + key + "'", nested);
  }

  /**
   * Refuses a key that nothing would read.
   *
   * @throws LongAlignException naming what may be there, and of those what may be meant
   */
  public void requireKnown(Collection<String> known) {
    for (String key : keys()) {
      if (!known.contains(key)) {
        throw new LongAlignException(
            source
                + ": there is no key '"
                + Names.printable(key)
                + "'; "
                + Names.similar(key, known)
                    .map(meant -> "did you mean " + meant + "?")
                    .orElseGet(() -> "there are " + known.stream().sorted().toList()));
      }
    }
  }

  /** The exception to throw when a value has the right type but cannot be used. */
  public LongAlignException refusal(String key, String expected) {
    return new LongAlignException(
        source
            + ": key '"
            + Names.printable(key)
            + "': expected "
            + expected
            + ", found "
            + Json.kind(json.get(key)));
  }

  private <T> T get(String key, String expected, Function<JsonElement, T> convert) {
    JsonElement element = json.get(key);
    T value = element == null || element.isJsonNull() ? null : convert.apply(element);
    if (value == null) {
      throw refusal(key, expected);
    }
    return value;
  }

  private static <T> List<T> toList(JsonElement element, Function<JsonElement, T> convert) {
    if (!element.isJsonArray()) {
      return null;
    }
    JsonArray array = element.getAsJsonArray();
    List<T> list = new ArrayList<>(array.size());
    for (JsonElement item : array) {
      T value = convert.apply(item);
      if (value == null) {
        return null;
      }
      list.add(value);
    }
    return List.copyOf(list);
  }

  private static boolean isNumber(JsonElement element) {
    return element.isJsonPrimitive() && element.getAsJsonPrimitive().isNumber();
  }

  private static Long toSeed(JsonElement element) {
    try {
      return isNumber(element) ? (Long) Seeds.parse(element.getAsString()) : null;
    } catch (NumberFormatException noSeed) {
      return toLong(element); // 8.0 is an integer
    }
  }

  private static Long toLong(JsonElement element) {
    if (!isNumber(element) || element.getAsString().length() > MAX_DIGITS) {
      return null;
    }
    try {
      return new BigDecimal(element.getAsString()).longValueExact(); // 8.0 is an integer
    } catch (NumberFormatException | ArithmeticException noInteger) {
      return null;
    }
  }

  private static Integer toInt(JsonElement element) {
    Long value = toLong(element);
    return value == null || value != value.intValue() ? null : (Integer) value.intValue();
  }

  private static Double toDouble(JsonElement element) {
    try {
      return isNumber(element) && Double.isFinite(element.getAsDouble())
          ? (Double) element.getAsDouble()
          : null;
    } catch (NumberFormatException invalid) {
      return null;
    }
  }

  private static Boolean toBoolean(JsonElement element) {
    return element.isJsonPrimitive() && element.getAsJsonPrimitive().isBoolean()
        ? element.getAsBoolean()
        : null;
  }

  private static String toText(JsonElement element) {
    return element.isJsonPrimitive() && element.getAsJsonPrimitive().isString()
        ? element.getAsString()
        : null;
  }
}
