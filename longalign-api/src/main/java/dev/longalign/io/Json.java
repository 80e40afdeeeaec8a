package dev.longalign.io;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import com.google.gson.Strictness;
import com.google.gson.stream.JsonReader;
import com.google.gson.stream.JsonToken;
import dev.longalign.LongAlignException;
import java.io.IOException;
import java.io.StringReader;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/** JSON files of a model directory. */
final class Json {
  private static final int MOST_VALUES = 3_000_000;

  private Json() {}

  static JsonObject readObject(Path path) {
    return parseObject(TextFile.read(path, Names.of(path)), Names.of(path));
  }

  /**
   * @throws LongAlignException if it is not valid, no object, or has more values or levels than any
   *     file that this library reads (gson refuses more than 255 levels)
   */
  static JsonObject parseObject(String text, String source) {
    try {
      count(text, source);
      JsonElement element = JsonParser.parseString(text);
      if (!element.isJsonObject()) {
        throw new LongAlignException(source + ": expected a JSON object, found " + kind(element));
      }
      return element.getAsJsonObject();
    } catch (JsonParseException | IOException invalid) {
      throw new LongAlignException(source + ": not valid JSON: " + Reasons.of(invalid), invalid);
    }
  }

  /** Before anything is made of them: a byte of text can become a hundred in memory. */
  private static void count(String text, String source) throws IOException {
    JsonReader reader = new JsonReader(new StringReader(text));
    reader.setStrictness(Strictness.LENIENT); // as the parser is
    int values = 0;
    for (JsonToken next = reader.peek(); next != JsonToken.END_DOCUMENT; next = reader.peek()) {
      switch (next) {
        case BEGIN_ARRAY -> reader.beginArray();
        case END_ARRAY -> reader.endArray();
        case BEGIN_OBJECT -> reader.beginObject();
        case END_OBJECT -> reader.endObject();
        default -> reader.skipValue(); // or a name
      }
      if (++values > MOST_VALUES) {
        throw new LongAlignException(
            source + ": expected at most " + MOST_VALUES + " values, found more");
      }
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
