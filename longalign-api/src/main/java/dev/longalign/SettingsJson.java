package dev.longalign;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import dev.longalign.scheduler.Scheduler;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * The {@code longalign} text chunk: one JSON object with every setting of one picture. Unlike the
 * {@code parameters} chunk it loses nothing.
 */
final class SettingsJson {
  static final String CHUNK = "longalign";

  private static final int FORMAT = 1;

  private SettingsJson() {}

  static String write(SampleRequest request, long seed, Provenance provenance) {
    JsonObject json = new JsonObject();
    json.addProperty("format", FORMAT);
    json.addProperty("prompt", request.prompt());
    json.addProperty("negativePrompt", request.negativePrompt());
    json.addProperty("scheduler", request.scheduler().name());
    json.addProperty("steps", request.effectiveSteps());
    request.guidanceScale().ifPresent(g -> json.addProperty("guidanceScale", g));
    json.addProperty("seed", seed);
    request.width().ifPresent(n -> json.addProperty("width", n));
    request.height().ifPresent(n -> json.addProperty("height", n));
    if (request.initImage().isPresent()) {
      json.addProperty("initImage", true);
      json.addProperty("strength", request.strength());
    }
    json.addProperty("eta", request.eta());
    json.addProperty("generator", request.generator().name());
    json.addProperty("splitter", request.splitter().name());
    json.addProperty("strict", request.strict());
    json.add("provenance", provenance(provenance));
    return ascii(json.toString());
  }

  /** Any text, even half a surrogate pair, survives any reader of PNG text chunks. */
  private static String ascii(String json) {
    StringBuilder out = new StringBuilder(json.length());
    for (int i = 0; i < json.length(); i++) {
      char c = json.charAt(i);
      if (c < 0x7f) {
        out.append(c);
      } else {
        out.append(String.format(Locale.ROOT, "\\u%04x", (int) c));
      }
    }
    return out.toString();
  }

  private static JsonObject provenance(Provenance provenance) {
    JsonObject json = new JsonObject();
    json.addProperty("model", provenance.model());
    provenance.adapter().ifPresent(name -> json.addProperty("adapter", name));
    JsonArray loras = new JsonArray();
    provenance.loras().forEach(loras::add);
    json.add("loras", loras);
    json.addProperty("device", provenance.device());
    json.addProperty("precision", provenance.precision());
    json.addProperty("software", provenance.software());
    return json;
  }

  /**
   * @param source named in messages
   * @throws LongAlignException if the text is not such an object, or of a later format
   */
  static PictureSettings read(String text, String source) {
    try {
      JsonObject json = JsonParser.parseString(text).getAsJsonObject();
      int format = json.get("format").getAsInt();
      if (format != FORMAT) {
        throw new LongAlignException(
            source
                + ": expected settings of format "
                + FORMAT
                + ", found "
                + format
                + "; a later LongAlign wrote them, use that one");
      }
      boolean fromInitImage = json.has("initImage") && json.get("initImage").getAsBoolean();
      return new PictureSettings(
          request(json),
          Optional.ofNullable(json.get("provenance")).map(SettingsJson::provenance),
          fromInitImage);
    } catch (JsonParseException
        | IllegalStateException
        | IllegalArgumentException
        | UnsupportedOperationException
        | NullPointerException e) {
      throw new LongAlignException(
          source
              + ": expected LongAlign's settings as JSON, found something else: "
              + e.getMessage(),
          e);
    }
  }

  private static SampleRequest request(JsonObject json) {
    SampleRequestBuilder builder =
        SampleRequest.builder()
            .prompt(json.get("prompt").getAsString())
            .negativePrompt(json.get("negativePrompt").getAsString())
            .scheduler(constant(Scheduler.class, json.get("scheduler")))
            .steps(json.get("steps").getAsInt())
            .seed(json.get("seed").getAsLong())
            .eta(json.get("eta").getAsFloat())
            .generator(constant(Generator.class, json.get("generator")))
            .splitter(constant(Splitter.class, json.get("splitter")))
            .strict(json.get("strict").getAsBoolean());
    if (json.has("guidanceScale")) {
      builder.guidanceScale(json.get("guidanceScale").getAsFloat());
    }
    if (json.has("width")) {
      builder.width(json.get("width").getAsInt());
    }
    if (json.has("height")) {
      builder.height(json.get("height").getAsInt());
    }
    if (json.has("strength")) {
      builder.strength(json.get("strength").getAsFloat());
    }
    return builder.build();
  }

  private static Provenance provenance(JsonElement element) {
    JsonObject json = element.getAsJsonObject();
    List<String> loras = new ArrayList<>();
    json.getAsJsonArray("loras").forEach(lora -> loras.add(lora.getAsString()));
    return new Provenance(
        json.get("model").getAsString(),
        Optional.ofNullable(json.get("adapter")).map(JsonElement::getAsString),
        loras,
        json.get("device").getAsString(),
        json.get("precision").getAsString(),
        json.get("software").getAsString());
  }

  private static <E extends Enum<E>> E constant(Class<E> type, JsonElement name) {
    E[] constants = type.getEnumConstants();
    for (E constant : constants) {
      if (constant.name().equals(name.getAsString())) {
        return constant;
      }
    }
    throw new IllegalArgumentException(
        type.getSimpleName()
            + ": expected one of "
            + Arrays.toString(constants)
            + ", found "
            + name.getAsString());
  }
}
