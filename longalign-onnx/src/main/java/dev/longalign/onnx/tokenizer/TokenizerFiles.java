package dev.longalign.onnx.tokenizer;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import dev.longalign.LongAlignException;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalInt;

/**
 * Reads the files of a Hugging Face tokenizer directory; refusals name the file, what was expected
 * and found.
 */
final class TokenizerFiles {
  private final Path directory;

  TokenizerFiles(Path directory) {
    if (!Files.isDirectory(directory)) {
      throw new LongAlignException(
          directory
              + ": expected a tokenizer directory, found "
              + (Files.exists(directory) ? "a file" : "nothing")
              + "; give the folder that holds the tokenizer's files");
    }
    this.directory = directory;
  }

  Path directory() {
    return directory;
  }

  Path path(String name) {
    return directory.resolve(name);
  }

  boolean has(String name) {
    return Files.isRegularFile(path(name));
  }

  byte[] bytes(String name) {
    try {
      return Files.readAllBytes(path(name));
    } catch (IOException e) {
      throw new LongAlignException(
          path(name) + ": cannot be read (" + e + "); download the tokenizer again", e);
    }
  }

  String text(String name) {
    try {
      return Files.readString(path(name), StandardCharsets.UTF_8);
    } catch (CharacterCodingException e) {
      throw damaged(name, "UTF-8 text", "bytes that are not UTF-8", e);
    } catch (IOException e) {
      throw new LongAlignException(
          path(name) + ": cannot be read (" + e + "); download the tokenizer again", e);
    }
  }

  JsonObject json(String name) {
    JsonElement element;
    try {
      element = JsonParser.parseString(text(name));
    } catch (JsonParseException | StackOverflowError e) {
      throw damaged(name, "a JSON object", "text that is not JSON (" + e.getMessage() + ")", e);
    }
    if (!element.isJsonObject()) {
      throw damaged(
          name, "a JSON object", element.isJsonArray() ? "a JSON array" : "something else", null);
    }
    return element.getAsJsonObject();
  }

  /** The object in the file, or an empty one if there is no such file. */
  JsonObject jsonOrEmpty(String name) {
    return has(name) ? json(name) : new JsonObject();
  }

  LongAlignException damaged(String name, String expected, String found, Throwable cause) {
    return new LongAlignException(
        path(name)
            + ": expected "
            + expected
            + ", found "
            + found
            + "; download the tokenizer again",
        cause);
  }

  /**
   * {@code model_max_length} of tokenizer_config.json; transformers writes 1e30 where there is no
   * limit.
   */
  int modelMaxLength(int otherwise) {
    JsonElement value = jsonOrEmpty("tokenizer_config.json").get("model_max_length");
    OptionalInt length = integer(value);
    return length.isPresent() && length.getAsInt() > 1 ? length.getAsInt() : otherwise;
  }

  /** A JSON number that is a whole number of int range. */
  static OptionalInt integer(JsonElement value) {
    if (value == null || !value.isJsonPrimitive() || !value.getAsJsonPrimitive().isNumber()) {
      return OptionalInt.empty();
    }
    double number = value.getAsDouble();
    return number == (int) number ? OptionalInt.of((int) number) : OptionalInt.empty();
  }
}
