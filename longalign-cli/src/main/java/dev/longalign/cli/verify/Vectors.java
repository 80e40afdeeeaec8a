package dev.longalign.cli.verify;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import dev.longalign.LongAlignException;
import dev.longalign.io.Reasons;
import dev.longalign.io.SafetensorsFile;
import dev.longalign.io.StoredTensor;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.Set;

/** One {@code NAME.json} of a golden directory with the tensors of {@code NAME.safetensors}. */
final class Vectors {
  private final Path file;
  private final JsonObject json;
  private SafetensorsFile tensors;

  private Vectors(Path file, JsonObject json) {
    this.file = file;
    this.json = json;
  }

  /**
   * @throws LongAlignException if the file is not a JSON object
   */
  static Vectors open(Path file) {
    try {
      return new Vectors(file, JsonParser.parseString(Files.readString(file)).getAsJsonObject());
    } catch (IOException | JsonParseException | IllegalStateException e) {
      throw new LongAlignException(
          file + ": expected a JSON object; " + Reasons.of(e) + "; copy the golden directory again",
          e);
    }
  }

  Path directory() {
    return file.getParent();
  }

  /**
   * The file of another kind that goes with this one: {@code forward_x} with {@code lora_x} if
   * there is such a file, else {@code forward}.
   */
  Vectors beside(String kind) {
    int tail = name().indexOf('_');
    Path same = file.resolveSibling(kind + (tail < 0 ? "" : name().substring(tail)) + ".json");
    return open(Files.isRegularFile(same) ? same : file.resolveSibling(kind + ".json"));
  }

  /** The file in which this one's inputs are stored; itself unless it names another. */
  Vectors inputs() {
    if (!hasValue("inputs_file")) {
      return this;
    }
    String named = value("inputs_file").getAsString().replaceAll("\\.safetensors$", "");
    return named.equals(name()) ? this : open(directory().resolve(named + ".json"));
  }

  /** The file's name without {@code .json}. */
  String name() {
    String name = file.getFileName().toString();
    return name.substring(0, name.length() - ".json".length());
  }

  JsonObject json() {
    return json;
  }

  /** Title and notes, in which a file says what it was made with. */
  String prose() {
    StringBuilder text =
        new StringBuilder(json.has("title") ? json.get("title").getAsString() : "");
    if (json.has("notes")) {
      json.getAsJsonArray("notes").forEach(note -> text.append('\n').append(note.getAsString()));
    }
    return text.toString();
  }

  /** One of the {@code values}, without the explanation that may be wrapped around it. */
  JsonElement value(String key) {
    JsonElement value = json.has("values") ? json.getAsJsonObject("values").get(key) : null;
    if (value == null) {
      throw new LongAlignException(
          file + ": expected a value '" + key + "', found none; copy the golden directory again");
    }
    boolean wrapped = value.isJsonObject() && value.getAsJsonObject().has("value");
    return wrapped ? value.getAsJsonObject().get("value") : value;
  }

  boolean hasValue(String key) {
    return json.has("values") && json.getAsJsonObject("values").has(key);
  }

  /** The keys of the {@code values}. */
  Set<String> values() {
    return json.has("values") ? json.getAsJsonObject("values").keySet() : Set.of();
  }

  /** All tensors, in the order of the JSON file, then those it does not mention. */
  Set<String> names() {
    Set<String> names = new LinkedHashSet<>();
    if (json.has("tensors")) {
      names.addAll(json.getAsJsonObject("tensors").keySet());
    }
    names.addAll(tensors().names());
    return names;
  }

  boolean has(String tensor) {
    return tensors().contains(tensor);
  }

  StoredTensor stored(String tensor) {
    return tensors().tensor(tensor);
  }

  Shape shape(String tensor) {
    return stored(tensor).shape();
  }

  float[] floats(String tensor) {
    return stored(tensor).toFloats();
  }

  /** The tensor as stored, in f32. */
  Tensor tensor(Backend backend, String name) {
    return Tensor.of(backend, shape(name), floats(name));
  }

  /** A tensor stored as [B, C, H, W], as [B, H, W, C]. */
  Tensor nhwc(Backend backend, String name) {
    return Layouts.toNhwc(backend, shape(name), floats(name));
  }

  /** Row {@code i} of the first axis of [N, B, C, H, W], as [B, H, W, C]. */
  Tensor nhwcRow(Backend backend, String name, int i) {
    return Layouts.toNhwc(backend, rowShape(name), row(name, i));
  }

  /** Row {@code i} of the first axis. */
  float[] row(String name, int i) {
    float[] all = floats(name);
    int size = all.length / shape(name).intDim(0);
    return Arrays.copyOfRange(all, i * size, (i + 1) * size);
  }

  /** The shape of one row of the first axis. */
  Shape rowShape(String name) {
    long[] dims = shape(name).toArray();
    return Shape.of(Arrays.copyOfRange(dims, 1, dims.length));
  }

  /** How far f32 rounding alone takes the reference; 0 where that was not measured. */
  double float64Difference(String tensor) {
    JsonElement value = about(tensor).get("float64_max_abs_diff");
    return value == null || value.isJsonNull() ? 0 : value.getAsDouble();
  }

  /** What the JSON file says a value is; empty if nothing. */
  String meaningOfValue(String key) {
    JsonElement value = json.getAsJsonObject("values").get(key);
    boolean said = value.isJsonObject() && value.getAsJsonObject().has("meaning");
    return said ? value.getAsJsonObject().get("meaning").getAsString() : "";
  }

  /** What the JSON file says a tensor is; empty if nothing. */
  String meaning(String tensor) {
    JsonElement meaning = about(tensor).get("meaning");
    return meaning == null ? "" : meaning.getAsString();
  }

  private JsonObject about(String tensor) {
    JsonObject all = json.has("tensors") ? json.getAsJsonObject("tensors") : new JsonObject();
    return all.has(tensor) ? all.getAsJsonObject(tensor) : new JsonObject();
  }

  private SafetensorsFile tensors() {
    if (tensors == null) {
      tensors = SafetensorsFile.open(file.resolveSibling(name() + ".safetensors"));
    }
    return tensors;
  }
}
