package dev.longalign.onnx.tokenizer;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import dev.longalign.LongAlignException;
import dev.longalign.io.Names;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Reads the files of a Hugging Face tokenizer directory; refusals name the file, what was expected
 * and found.
 */
final class TokenizerFiles {
  /** In characters; what is longer would make every text slow, and no vocabulary has it. */
  static final int MAX_TOKEN_LENGTH = 1024;

  static final int MAX_TOKENS = 1 << 22;

  private static final long MAX_BYTES = 32L << 20;

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
      long size = Files.size(path(name));
      if (size > MAX_BYTES) {
        throw damaged(name, "at most " + MAX_BYTES + " bytes", size + " bytes", null);
      }
      return Files.readAllBytes(path(name));
    } catch (IOException e) {
      throw new LongAlignException(
          path(name) + ": cannot be read (" + e + "); download the tokenizer again", e);
    }
  }

  String text(String name) {
    try {
      String text = UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes(name))).toString();
      return text.startsWith("\uFEFF") ? text.substring(1) : text;
    } catch (CharacterCodingException e) {
      throw damaged(name, "UTF-8 text", "bytes that are not UTF-8", e);
    }
  }

  /** The object in the file, or an empty one if there is no such file. */
  JsonValue json(String name) {
    if (!has(name)) {
      return new JsonValue(path(name), "", new JsonObject());
    }
    JsonElement element;
    try {
      element = JsonParser.parseString(text(name));
    } catch (JsonParseException | StackOverflowError e) {
      String reason = Names.printable(String.valueOf(e.getMessage()));
      throw damaged(name, "a JSON object", "text that is not JSON (" + reason + ")", e);
    }
    if (!element.isJsonObject()) {
      throw damaged(
          name, "a JSON object", element.isJsonArray() ? "a JSON array" : "something else", null);
    }
    return new JsonValue(path(name), "", element);
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
    JsonElement value = json("tokenizer_config.json").get("model_max_length").json();
    double length =
        value.isJsonPrimitive() && value.getAsJsonPrimitive().isNumber() ? value.getAsDouble() : 0;
    return length > 1 && length == (int) length ? (int) length : otherwise;
  }
}
