package dev.longalign.cli;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonPrimitive;
import com.google.gson.JsonSerializer;
import dev.longalign.io.Seeds;
import java.awt.image.BufferedImage;
import java.math.BigInteger;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.regex.Pattern;

/** Records as JSON: paths as text, durations in seconds, what is empty left out. */
final class Json {
  private static final Gson GSON =
      new GsonBuilder()
          .disableHtmlEscaping()
          .serializeSpecialFloatingPointValues()
          .registerTypeHierarchyAdapter(
              Path.class, (JsonSerializer<Path>) (path, type, c) -> text(path.toString()))
          .registerTypeAdapter(
              BufferedImage.class,
              (JsonSerializer<BufferedImage>)
                  (image, type, c) -> text(image.getWidth() + "x" + image.getHeight()))
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

  /** Which JSON allows in texts and terminals take for commands. */
  private static final Pattern CONTROLS = Pattern.compile("[\\x7f-\\x9f]");

  private Json() {}

  static String write(Object value) {
    return CONTROLS
        .matcher(GSON.toJson(tree(value)))
        .replaceAll(
            found -> String.format(Locale.ROOT, "\\\\u%04x", (int) found.group().charAt(0)));
  }

  static JsonElement tree(Object value) {
    JsonElement tree = GSON.toJsonTree(value);
    unsignSeeds(tree);
    return tree;
  }

  /** A seed is 64 bits; programs that read it take -1 for "any". */
  private static void unsignSeeds(JsonElement element) {
    if (element.isJsonArray()) {
      element.getAsJsonArray().forEach(Json::unsignSeeds);
    } else if (element.isJsonObject()) {
      for (Map.Entry<String, JsonElement> entry : element.getAsJsonObject().entrySet()) {
        if (entry.getKey().equals("seed") && isNumber(entry.getValue())) {
          entry.setValue(seed(entry.getValue()));
        } else if (entry.getKey().equals("seeds") && entry.getValue().isJsonArray()) {
          JsonArray seeds = entry.getValue().getAsJsonArray();
          for (int i = 0; i < seeds.size(); i++) {
            seeds.set(i, isNumber(seeds.get(i)) ? seed(seeds.get(i)) : seeds.get(i));
          }
        } else {
          unsignSeeds(entry.getValue());
        }
      }
    }
  }

  private static boolean isNumber(JsonElement element) {
    return element.isJsonPrimitive() && element.getAsJsonPrimitive().isNumber();
  }

  private static JsonPrimitive seed(JsonElement number) {
    return new JsonPrimitive(new BigInteger(Seeds.format(number.getAsLong())));
  }

  private static JsonPrimitive text(String text) {
    return new JsonPrimitive(text);
  }
}
