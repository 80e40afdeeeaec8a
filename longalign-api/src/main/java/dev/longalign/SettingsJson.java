package dev.longalign;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.longalign.io.Config;
import dev.longalign.io.Seeds;
import dev.longalign.pipeline.TextEncoding;
import dev.longalign.scheduler.Scheduler;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.BiFunction;
import java.util.function.Function;

/**
 * The {@code longalign} text chunk: one JSON object with every setting of one picture. Unlike the
 * {@code parameters} chunk it loses nothing. Format 1 had no hashes and no encoding.
 */
final class SettingsJson {
  static final String CHUNK = "longalign";

  private static final int FORMAT = 2;

  private SettingsJson() {}

  static String write(SampleRequest request, long seed, Provenance provenance) {
    JsonObject json = new JsonObject();
    json.addProperty("format", FORMAT);
    json.addProperty("prompt", request.prompt());
    json.addProperty("negativePrompt", request.negativePrompt());
    request.scheduler().ifPresent(s -> json.addProperty("scheduler", s.name()));
    request.steps().ifPresent(n -> json.addProperty("steps", n));
    request.guidanceScale().ifPresent(g -> json.addProperty("guidanceScale", g));
    request.karrasSigmas().ifPresent(karras -> json.addProperty("karrasSigmas", karras));
    json.addProperty("seed", new BigInteger(Seeds.format(seed)));
    request.width().ifPresent(n -> json.addProperty("width", n));
    request.height().ifPresent(n -> json.addProperty("height", n));
    if (request.initImage().isPresent()) {
      JsonObject image = new JsonObject();
      image.addProperty("sha256", PictureSettings.hash(request.initImage().get()));
      json.add("initImage", image);
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
    json.add("model", part(provenance.model()));
    provenance.adapter().ifPresent(part -> json.add("adapter", part(part)));
    provenance.t5().ifPresent(part -> json.add("t5", part(part)));
    JsonArray loras = new JsonArray();
    for (Provenance.LoraPart lora : provenance.loras()) {
      JsonObject entry = part(lora.file());
      entry.addProperty("scale", lora.scale());
      loras.add(entry);
    }
    json.add("loras", loras);
    provenance.encoding().ifPresent(encoding -> json.addProperty("encoding", encoding.name()));
    json.addProperty("tiled", provenance.tiled());
    json.addProperty("device", provenance.device());
    provenance.backend().ifPresent(backend -> json.addProperty("backend", backend));
    json.addProperty("precision", provenance.precision());
    json.addProperty("software", provenance.software());
    return json;
  }

  private static JsonObject part(Provenance.Part part) {
    JsonObject json = new JsonObject();
    json.addProperty("name", part.name());
    part.sha256().ifPresent(hash -> json.addProperty("sha256", hash));
    return json;
  }

  /**
   * @param source named in messages
   * @param said what it says is not read
   * @throws LongAlignException if the text is not such an object, or of a later format
   */
  static PictureSettings read(String text, String source, SampleRequestBuilder said) {
    Config json = Config.parse(source + ", settings", text);
    int format = json.getInt("format");
    if (format < 1 || format > FORMAT) {
      throw new LongAlignException(
          source
              + ": expected settings of format 1 to "
              + FORMAT
              + ", found "
              + format
              + "; a later LongAlign wrote them, use that one");
    }
    Optional<Config> image =
        format > 1 && json.has("initImage")
            ? Optional.of(json.getConfig("initImage"))
            : Optional.empty();
    fill(said, json);
    Optional<Provenance> provenance =
        json.has("provenance")
            ? Optional.of(provenance(json.getConfig("provenance"), format))
            : Optional.empty();
    try {
      return new PictureSettings(
          said.build(),
          provenance,
          image.isPresent() || format == 1 && json.getBoolean("initImage", false),
          image.flatMap(SettingsJson::hash),
          List.of());
    } catch (IllegalArgumentException outOfRange) {
      throw new LongAlignException(source + ", settings: " + outOfRange.getMessage(), outOfRange);
    }
  }

  private static void fill(SampleRequestBuilder said, Config json) {
    said.prompt = needed(said.prompt, json, "prompt", Config::getString);
    said.negativePrompt = or(said.negativePrompt, json, "negativePrompt", Config::getString);
    said.scheduler = needed(said.scheduler, json, "scheduler", constant(Scheduler.class));
    said.steps = needed(said.steps, json, "steps", Config::getInt);
    said.guidanceScale = or(said.guidanceScale, json, "guidanceScale", Config::getFloat);
    said.karrasSigmas = or(said.karrasSigmas, json, "karrasSigmas", Config::getBoolean);
    if (said.seeds == null) {
      said.seed = needed(said.seed, json, "seed", Config::getSeed);
    }
    said.width = or(said.width, json, "width", Config::getInt);
    said.height = or(said.height, json, "height", Config::getInt);
    said.strength = or(said.strength, json, "strength", Config::getFloat);
    said.eta = or(said.eta, json, "eta", Config::getFloat);
    said.generator = or(said.generator, json, "generator", constant(Generator.class));
    said.splitter = or(said.splitter, json, "splitter", constant(Splitter.class));
    said.strict = or(said.strict, json, "strict", Config::getBoolean);
  }

  private static <T> T needed(T said, Config json, String key, BiFunction<Config, String, T> read) {
    return said != null ? said : read.apply(json, key);
  }

  private static <T> T or(T said, Config json, String key, BiFunction<Config, String, T> read) {
    return json.has(key) ? needed(said, json, key, read) : said;
  }

  private static Provenance provenance(Config json, int format) {
    Function<String, Optional<Provenance.Part>> part =
        key -> json.has(key) ? Optional.of(part(json, key, format)) : Optional.empty();
    Optional<Provenance.Part> adapter = part.apply("adapter");
    Optional<TextEncoding> encoding =
        format > 1
            ? Optional.of(constant(TextEncoding.class).apply(json, "encoding"))
            : adapter.map(taken -> TextEncoding.LONGALIGN);
    return new Provenance(
        part.apply("model").orElseThrow(() -> json.refusal("model", "a model's name")),
        adapter,
        part.apply("t5"),
        loras(json, format),
        encoding,
        json.getBoolean("tiled", false),
        json.getString("device"),
        json.has("backend") ? Optional.of(json.getString("backend")) : Optional.empty(),
        json.getString("precision"),
        json.getString("software"));
  }

  private static Provenance.Part part(Config json, String key, int format) {
    return format == 1
        ? new Provenance.Part(json.getString(key), Optional.empty())
        : part(json.getConfig(key));
  }

  private static Provenance.Part part(Config json) {
    return new Provenance.Part(json.getString("name"), hash(json));
  }

  private static Optional<String> hash(Config json) {
    return Optional.of(json.getString("sha256", "")).filter(h -> h.matches("[0-9a-f]{64}"));
  }

  private static List<Provenance.LoraPart> loras(Config json, int format) {
    List<Provenance.LoraPart> loras = new ArrayList<>();
    if (format == 1) {
      json.getStringList("loras").forEach(text -> loras.add(named(text)));
      return loras;
    } else if (!json.isList("loras")) {
      throw json.refusal("loras", "a list");
    }
    for (JsonElement entry : json.json().getAsJsonArray("loras")) {
      if (!entry.isJsonObject()) {
        throw json.refusal("loras", "a list of objects");
      }
      Config lora = Config.of(json.source() + ": 'loras'", entry.getAsJsonObject());
      loras.add(new Provenance.LoraPart(part(lora), lora.getFloat("scale")));
    }
    return loras;
  }

  /** {@code name:scale} of format 1. */
  private static Provenance.LoraPart named(String text) {
    int colon = text.lastIndexOf(':');
    String name = colon < 0 ? text : text.substring(0, colon);
    float scale = 1;
    try {
      scale = Float.parseFloat(text.substring(colon + 1));
    } catch (NumberFormatException noScale) {
      name = text;
    }
    return new Provenance.LoraPart(new Provenance.Part(name, Optional.empty()), scale);
  }

  private static <E extends Enum<E>> BiFunction<Config, String, E> constant(Class<E> type) {
    return (json, key) -> {
      String name = json.getString(key);
      return Arrays.stream(type.getEnumConstants())
          .filter(constant -> constant.name().equals(name))
          .findFirst()
          .orElseThrow(
              () -> json.refusal(key, "one of " + Arrays.toString(type.getEnumConstants())));
    };
  }
}
