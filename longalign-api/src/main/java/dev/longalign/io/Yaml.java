package dev.longalign.io;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import dev.longalign.LongAlignException;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;
import org.snakeyaml.engine.v2.api.Load;
import org.snakeyaml.engine.v2.api.LoadSettings;
import org.snakeyaml.engine.v2.api.lowlevel.Parse;
import org.snakeyaml.engine.v2.events.AliasEvent;
import org.snakeyaml.engine.v2.events.CollectionEndEvent;
import org.snakeyaml.engine.v2.events.CollectionStartEvent;
import org.snakeyaml.engine.v2.events.Event;
import org.snakeyaml.engine.v2.events.ScalarEvent;
import org.snakeyaml.engine.v2.exceptions.Mark;
import org.snakeyaml.engine.v2.exceptions.MarkedYamlEngineException;
import org.snakeyaml.engine.v2.exceptions.YamlEngineException;
import org.snakeyaml.engine.v2.schema.CoreSchema;

/**
 * YAML 1.2 as JSON: mappings, lists, strings, numbers, booleans; tags make no objects. Texts are
 * measured before anything is made of them, so that a small file cannot become a large value.
 */
final class Yaml {
  private static final int LONGEST = 500_000;
  private static final int MOST_NODES = 20_000;
  private static final int DEEPEST = 50;

  /** Digits are converted in quadratic time. */
  private static final int LONGEST_NUMBER = 100;

  private static final Pattern NUMBER = Pattern.compile("[-+.0-9][-+._0-9a-fA-FxoE]*");

  private Yaml() {}

  static JsonObject parseObject(String text, String source) {
    if (text.length() > LONGEST) {
      throw new LongAlignException(
          source
              + ": expected a config of at most "
              + LONGEST
              + " characters, found "
              + text.length());
    }
    LoadSettings settings =
        LoadSettings.builder().setLabel(source).setSchema(new CoreSchema()).build();
    Object root;
    try {
      measure(new Parse(settings).parseString(text), source);
      root = new Load(settings).loadFromString(text);
    } catch (MarkedYamlEngineException invalid) {
      throw refusal(source, invalid.getProblemMark(), invalid.getProblem(), invalid);
    } catch (YamlEngineException invalid) {
      throw refusal(source, Optional.empty(), invalid.getMessage(), invalid);
    }
    JsonElement json = toJson(root, source);
    if (!json.isJsonObject()) {
      throw new LongAlignException(source + ": expected keys and values, found " + Json.kind(json));
    }
    return json.getAsJsonObject();
  }

  /** Goes over the events, which are not nested, and counts. */
  private static void measure(Iterable<Event> events, String source) {
    int depth = 0;
    int nodes = 0;
    for (Event event : events) {
      if (event instanceof AliasEvent) {
        throw refusal(source, event, "an alias (*name); write the value itself");
      } else if (event instanceof CollectionStartEvent) {
        depth++;
      } else if (event instanceof CollectionEndEvent) {
        depth--;
      } else if (event instanceof ScalarEvent scalar
          && scalar.isPlain()
          && scalar.getValue().length() > LONGEST_NUMBER
          && NUMBER.matcher(scalar.getValue()).matches()) {
        throw refusal(source, event, "a number of " + scalar.getValue().length() + " digits");
      }
      if (depth > DEEPEST) {
        throw refusal(source, event, "more than " + DEEPEST + " levels of lists and mappings");
      }
      if (++nodes > MOST_NODES) {
        throw refusal(source, event, "more than " + MOST_NODES + " values");
      }
    }
  }

  private static LongAlignException refusal(String source, Event event, String found) {
    return refusal(source, event.getStartMark(), "expected a config, found " + found, null);
  }

  private static LongAlignException refusal(
      String source, Optional<Mark> at, String problem, YamlEngineException cause) {
    String place =
        at.map(mark -> ", line " + (mark.getLine() + 1) + ", column " + (mark.getColumn() + 1))
            .orElse("");
    return new LongAlignException(
        source + ": not valid YAML" + place + ": " + Names.printable(String.valueOf(problem)),
        cause);
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
    } else if (value instanceof Number number && Double.isFinite(number.doubleValue())) {
      return new JsonPrimitive(number);
    } else if (value instanceof String string) {
      return new JsonPrimitive(string);
    }
    throw new LongAlignException(
        source
            + ": expected text, finite numbers, true or false, lists and mappings, found "
            + (value instanceof Number
                ? value.toString()
                : "a value of type " + value.getClass().getSimpleName()));
  }
}
