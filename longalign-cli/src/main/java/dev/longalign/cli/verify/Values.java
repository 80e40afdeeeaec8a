package dev.longalign.cli.verify;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.longalign.LongAlignException;
import dev.longalign.io.StoredTensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** JSON lists and stored tensors as arrays. */
final class Values {
  private Values() {}

  static int[] ints(JsonElement list) {
    return list.getAsJsonArray().asList().stream().mapToInt(JsonElement::getAsInt).toArray();
  }

  static int[][] intRows(JsonElement list) {
    return list.getAsJsonArray().asList().stream().map(Values::ints).toArray(int[][]::new);
  }

  static List<String> texts(JsonElement list) {
    return list.getAsJsonArray().asList().stream().map(JsonElement::getAsString).toList();
  }

  /** A list of numbers, or one number for each of {@code count}. */
  static float[] floats(JsonElement value, int count) {
    float[] floats = new float[value.isJsonArray() ? value.getAsJsonArray().size() : count];
    for (int i = 0; i < floats.length; i++) {
      floats[i] =
          value.isJsonArray() ? value.getAsJsonArray().get(i).getAsFloat() : value.getAsFloat();
    }
    return floats;
  }

  /** The rows of a matrix of whole numbers. */
  static int[][] intRows(StoredTensor matrix) {
    int columns = matrix.shape().intDim(1);
    long[] values = matrix.toLongs();
    int[][] rows = new int[matrix.shape().intDim(0)][columns];
    for (int i = 0; i < values.length; i++) {
      rows[i / columns][i % columns] = Math.toIntExact(values[i]);
    }
    return rows;
  }

  static Map<String, JsonElement> entries(JsonElement object) {
    Map<String, JsonElement> entries = new LinkedHashMap<>();
    object.getAsJsonObject().entrySet().forEach(e -> entries.put(e.getKey(), e.getValue()));
    return entries;
  }

  /** The first group of every match. */
  static List<String> found(String regex, String text) {
    List<String> found = new ArrayList<>();
    Matcher matcher = Pattern.compile(regex).matcher(text);
    while (matcher.find()) {
      found.add(matcher.group(1));
    }
    return found;
  }

  static JsonObject read(Path file) {
    return Vectors.open(file).json();
  }

  static JsonObject readConfig(Path file) {
    if (!Files.isRegularFile(file)) {
      throw new LongAlignException(file + ": expected a config, found nothing there");
    }
    return read(file);
  }

  /** Names in a directory, to notice that something was written. */
  static List<String> names(Path directory) throws IOException {
    try (var entries = Files.list(directory)) {
      return entries.map(path -> path.getFileName().toString()).sorted().toList();
    }
  }
}
