package dev.longalign.io;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import dev.longalign.LongAlignException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/** JSON files of a model directory. */
final class Json {
  private Json() {}

  static JsonObject readObject(Path path) {
    return parseObject(TextFile.read(path, Names.of(path)), Names.of(path));
  }

  static JsonObject parseObject(String text, String source) {
    try {
      JsonElement element = JsonParser.parseString(text);
      if (!element.isJsonObject()) {
        throw new LongAlignException(source + ": expected a JSON object, found " + kind(element));
      }
      return element.getAsJsonObject();
    } catch (JsonParseException invalid) {
      String reason = Names.printable(String.valueOf(invalid.getMessage()));
      throw new LongAlignException(source + ": not valid JSON: " + reason, invalid);
    }
  }

  static String utf8(ByteBuffer bytes, String source) {
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(bytes).toString();
    } catch (CharacterCodingException invalid) {
      throw new LongAlignException(source + ": the text is not valid UTF-8", invalid);
    }
  }

  /** What an element is, with its value if that is short: {@code the string "x"}. */
  static String kind(JsonElement element) {
    if (element == null) {
      return "nothing";
    } else if (element.isJsonNull()) {
      return "null";
    } else if (element.isJsonArray()) {
      return "a list of "
          + element.getAsJsonArray().size()
          + " ("
          + Names.printable(element.toString())
          + ")";
    } else if (element.isJsonObject()) {
      return "an object";
    } else if (element.getAsJsonPrimitive().isString()) {
      return "the string \"" + Names.printable(element.getAsString()) + "\"";
    } else if (element.getAsJsonPrimitive().isBoolean()) {
      return "the boolean " + element;
    }
    return "the number " + Names.printable(element.toString());
  }
}
