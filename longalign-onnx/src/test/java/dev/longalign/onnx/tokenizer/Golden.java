package dev.longalign.onnx.tokenizer;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** The reference's vectors. */
final class Golden {
  static final Path ROOT = Path.of("../longalign-api/src/test/golden");
  static final Path CLIP = ROOT.resolve("text/clip_vocab");
  static final Path T5 = ROOT.resolve("models/tiny-longsd/t5");

  private Golden() {}

  static JsonObject read(String path) {
    try {
      return JsonParser.parseString(Files.readString(ROOT.resolve(path))).getAsJsonObject();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static int[] ids(JsonElement json) {
    JsonArray array = json.getAsJsonArray();
    int[] ids = new int[array.size()];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = array.get(i).getAsInt();
    }
    return ids;
  }

  /** A field of a case, where the word "same" stands for another field. */
  static int[] ids(JsonObject test, String field, String same) {
    JsonElement value = test.get(field);
    return ids(value.isJsonArray() ? value : test.get(same));
  }
}
