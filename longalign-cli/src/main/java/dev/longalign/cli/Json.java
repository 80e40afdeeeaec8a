package dev.longalign.cli;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonElement;
import com.google.gson.JsonPrimitive;
import com.google.gson.JsonSerializer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.OptionalInt;

/** Records as JSON: paths as text, durations in seconds, what is empty left out. */
final class Json {
  private static final Gson GSON =
      new GsonBuilder()
          .disableHtmlEscaping()
          .serializeSpecialFloatingPointValues()
          .registerTypeHierarchyAdapter(
              Path.class, (JsonSerializer<Path>) (path, type, c) -> text(path.toString()))
          .registerTypeAdapter(
              Duration.class,
              (JsonSerializer<Duration>) (d, type, c) -> new JsonPrimitive(d.toNanos() * 1e-9))
          .registerTypeAdapter(
              OptionalInt.class,
              (JsonSerializer<OptionalInt>)
                  (o, type, c) -> o.isPresent() ? new JsonPrimitive(o.getAsInt()) : null)
          .registerTypeHierarchyAdapter(
              Optional.class,
              (JsonSerializer<Optional<?>>) (o, type, c) -> c.serialize(o.orElse(null)))
          .create();

  private Json() {}

  static String write(Object value) {
    return GSON.toJson(value);
  }

  static JsonElement tree(Object value) {
    return GSON.toJsonTree(value);
  }

  private static JsonPrimitive text(String text) {
    return new JsonPrimitive(text);
  }
}
