package dev.longalign.onnx.tokenizer;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;

/**
 * A token that is found in the text as it stands, before words are made.
 *
 * @param leftStrip whether it swallows white space before it
 * @param rightStrip whether it swallows white space after it
 * @param normalized whether it is searched for in the normalised text (fast tokenizers only)
 */
record SpecialToken(
    String content, int id, boolean leftStrip, boolean rightStrip, boolean normalized) {

  /** From a string or an AddedToken object; null if it is neither. */
  static SpecialToken parse(JsonElement json, int id) {
    String content = content(json);
    if (content == null) {
      return null;
    }
    JsonObject o = json.isJsonObject() ? json.getAsJsonObject() : new JsonObject();
    return new SpecialToken(
        content, id, flag(o, "lstrip"), flag(o, "rstrip"), flag(o, "normalized"));
  }

  static String content(JsonElement json) {
    if (json == null) {
      return null;
    }
    if (json.isJsonObject()) {
      return content(json.getAsJsonObject().get("content"));
    }
    return json.isJsonPrimitive() && json.getAsJsonPrimitive().isString()
        ? json.getAsString()
        : null;
  }

  SpecialToken withId(int newId) {
    return new SpecialToken(content, newId, leftStrip, rightStrip, normalized);
  }

  /** As tokenizer.json lists it. */
  JsonObject toJson() {
    JsonObject o = new JsonObject();
    o.addProperty("id", id);
    o.addProperty("content", content);
    o.addProperty("single_word", false);
    o.addProperty("lstrip", leftStrip);
    o.addProperty("rstrip", rightStrip);
    o.addProperty("normalized", normalized);
    o.addProperty("special", true);
    return o;
  }

  private static boolean flag(JsonObject o, String name) {
    JsonElement value = o.get(name);
    return value != null && value.isJsonPrimitive() && value.getAsBoolean();
  }
}
