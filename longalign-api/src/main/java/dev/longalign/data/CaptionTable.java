package dev.longalign.data;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import dev.longalign.LongAlignException;
import dev.longalign.io.Names;
import dev.longalign.io.TextFile;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Captions of the pictures of a directory in one file, as Hugging Face's image folders have them:
 * {@code metadata.jsonl} or {@code metadata.csv} with the picture's path in {@code file_name} and
 * the caption in {@code text} or a column of another name.
 */
final class CaptionTable {
  static final List<String> NAMES = List.of("metadata.jsonl", "metadata.csv");

  private static final String FILE = "file_name";
  private static final String TEXT = "text";

  private final Path file;
  private final String captionKey;
  private final Map<Path, String> captions = new LinkedHashMap<>();

  private CaptionTable(Path file, String captionKey) {
    this.file = file;
    this.captionKey = captionKey;
  }

  static boolean isTable(Path file) {
    return NAMES.contains(file.getFileName().toString());
  }

  /**
   * Captions by the paths of pictures.
   *
   * @param captionKey looked for before {@code text}
   * @throws LongAlignException naming the line that cannot be used
   */
  static Map<Path, String> read(Path file, String captionKey) {
    CaptionTable table = new CaptionTable(file, captionKey);
    if (file.toString().endsWith(".csv")) {
      table.csv(TextFile.read(file));
    } else {
      TextFile.forEachLine(file, table::json);
    }
    return table.captions;
  }

  private void json(int line, String text) {
    if (text.isBlank()) {
      return;
    }
    JsonObject row;
    try {
      JsonElement element = JsonParser.parseString(text);
      if (!element.isJsonObject()) {
        throw refusal(line, "expected a JSON object");
      }
      row = element.getAsJsonObject();
    } catch (JsonParseException invalid) {
      throw refusal(line, "not valid JSON: " + Names.printable("" + invalid.getMessage()));
    }
    String key = row.has(captionKey) ? captionKey : TEXT;
    put(line, string(line, row, FILE), row.has(key) ? string(line, row, key) : null, row.keySet());
  }

  private String string(int line, JsonObject row, String key) {
    JsonElement value = row.get(key);
    if (value == null || value.isJsonNull()) {
      return key.equals(FILE) ? null : "";
    } else if (!value.isJsonPrimitive() || !value.getAsJsonPrimitive().isString()) {
      throw refusal(line, "'" + Names.printable(key) + "' is not a string");
    }
    return value.getAsString();
  }

  private void csv(String text) {
    List<String> header = null;
    CsvReader reader = new CsvReader(text);
    for (List<String> row = reader.next(); row != null; row = reader.next()) {
      if (header == null) {
        header = row;
      } else if (row.size() > 1 || !row.get(0).isBlank()) {
        int name = header.indexOf(FILE);
        int caption = header.indexOf(header.contains(captionKey) ? captionKey : TEXT);
        put(reader.line(), cell(row, name), cell(row, caption), header);
      }
    }
  }

  private static String cell(List<String> row, int column) {
    return column >= 0 && column < row.size() ? row.get(column) : null;
  }

  private void put(int line, String name, String caption, Iterable<String> keys) {
    if (name == null || caption == null) {
      String wanted =
          name == null ? FILE : captionKey.equals(TEXT) ? TEXT : captionKey + "' or '" + TEXT;
      List<String> found = new ArrayList<>();
      keys.forEach(key -> found.add(Names.printable(key)));
      String some = String.join(", ", found.subList(0, Math.min(8, found.size())));
      throw refusal(line, "expected '" + wanted + "', found " + some);
    }
    try {
      Path directory = file.toAbsolutePath().normalize().getParent();
      Path picture = directory.resolve(name).normalize();
      if (!picture.startsWith(directory)) {
        throw refusal(line, "'" + Names.printable(name) + "' leads out of the directory");
      }
      captions.put(picture, caption);
    } catch (InvalidPathException invalid) {
      throw refusal(line, "'" + Names.printable(name) + "' is no path of a file here");
    }
  }

  private LongAlignException refusal(int line, String what) {
    return new LongAlignException(file + " line " + line + ": " + what);
  }

  /** Tables of one directory; more than one would contradict each other. */
  static Path only(Path directory) {
    List<Path> tables =
        NAMES.stream().map(directory::resolve).filter(Files::isRegularFile).toList();
    if (tables.size() > 1) {
      throw new LongAlignException(
          directory + ": expected one table of captions, found " + NAMES + "; remove one of them");
    }
    return tables.isEmpty() ? null : tables.get(0);
  }
}
