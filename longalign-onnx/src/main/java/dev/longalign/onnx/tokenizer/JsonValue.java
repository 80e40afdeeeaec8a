package dev.longalign.onnx.tokenizer;

import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonPrimitive;
import dev.longalign.LongAlignException;
import dev.longalign.io.Names;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * A value of a tokenizer's file and the way to it; {@code null} and what is not there are the same.
 * Refusals name the file and the key.
 *
 * @param path such as {@code model.vocab[3]}; empty for the whole file
 */
record JsonValue(Path file, String path, JsonElement json) {

  /** A member of an object; absent if this is none. */
  JsonValue get(String key) {
    JsonElement member = json.isJsonObject() ? json.getAsJsonObject().get(key) : null;
    return new JsonValue(
        file, path.isEmpty() ? key : path + "." + key, member == null ? JsonNull.INSTANCE : member);
  }

  boolean exists() {
    return !json.isJsonNull();
  }

  /** The elements of a list; none if it is absent. */
  Stream<JsonValue> stream() {
    if (!exists()) {
      return Stream.of();
    } else if (!json.isJsonArray()) {
      throw refusal("a list");
    }
    return IntStream.range(0, json.getAsJsonArray().size()).mapToObj(this::at);
  }

  private JsonValue at(int index) {
    return new JsonValue(file, path + "[" + index + "]", json.getAsJsonArray().get(index));
  }

  List<JsonValue> list() {
    return stream().toList();
  }

  /** The names of an object's members; none if it is absent. */
  List<String> keys() {
    if (!exists()) {
      return List.of();
    } else if (!json.isJsonObject()) {
      throw refusal("an object");
    }
    return new ArrayList<>(json.getAsJsonObject().keySet());
  }

  String text() {
    if (!isPrimitive() || !primitive().isString()) {
      throw refusal("a text");
    }
    return json.getAsString();
  }

  /** A text of at most {@link TokenizerFiles#MAX_TOKEN_LENGTH} characters that are all whole. */
  String token() {
    String token = text();
    if (token.length() > TokenizerFiles.MAX_TOKEN_LENGTH
        || !token.equals(TextRepair.replaceLoneSurrogates(token))) {
      throw refusal(
          "a token of at most "
              + TokenizerFiles.MAX_TOKEN_LENGTH
              + " characters, without halves of surrogate pairs");
    }
    return token;
  }

  boolean flag(boolean absent) {
    if (!exists()) {
      return absent;
    } else if (!isPrimitive() || !primitive().isBoolean()) {
      throw refusal("true or false");
    }
    return json.getAsBoolean();
  }

  int id() {
    double number = number();
    if (number < 0 || number >= TokenizerFiles.MAX_TOKENS || number != (int) number) {
      throw refusal("an id, a whole number from 0");
    }
    return (int) number;
  }

  double number() {
    double number = isPrimitive() && primitive().isNumber() ? json.getAsDouble() : Double.NaN;
    if (!Double.isFinite(number)) {
      throw refusal("a number");
    }
    return number;
  }

  /** Whether it is this text. */
  boolean is(String text) {
    return isPrimitive() && primitive().isString() && text.equals(json.getAsString());
  }

  /** Refuses all but the given texts, booleans or numbers; null allows that there is nothing. */
  void expect(Object... allowed) {
    for (Object value : allowed) {
      if (value == null
          ? !exists()
          : isPrimitive() && Objects.equals(json.toString(), toJson(value))) {
        return;
      }
    }
    throw refusal(
        String.join(
            " or ", Stream.of(allowed).map(v -> v == null ? "nothing" : toJson(v)).toList()));
  }

  private static String toJson(Object value) {
    return (value instanceof Boolean b ? new JsonPrimitive(b) : new JsonPrimitive(value.toString()))
        .toString();
  }

  private boolean isPrimitive() {
    return json.isJsonPrimitive();
  }

  private JsonPrimitive primitive() {
    return json.getAsJsonPrimitive();
  }

  LongAlignException refusal(String expected) {
    String found = exists() ? Names.printable(json.toString()) : "nothing";
    return new LongAlignException(
        file
            + ": expected "
            + expected
            + (path.isEmpty() ? "" : " as '" + Names.printable(path) + "'")
            + ", found "
            + found
            + "; other tokenizers than CLIP's and T5's are not supported, and a damaged one can be"
            + " downloaded again");
  }
}
