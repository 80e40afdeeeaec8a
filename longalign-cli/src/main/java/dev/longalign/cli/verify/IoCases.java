package dev.longalign.cli.verify;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.longalign.LongAlignException;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFile;
import dev.longalign.io.TensorFiles;
import dev.longalign.io.TorchFile;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/** {@code io/}: good files with exactly their contents, bad ones refused and nothing done. */
final class IoCases implements CaseSource {
  private static final String AREA = "io";
  private static final double SLOWEST_REFUSAL_SECONDS = 10;
  private static final Map<String, String> TORCH_TYPES =
      Map.of(
          "float64", "F64",
          "float32", "F32",
          "float16", "F16",
          "bfloat16", "BF16",
          "int64", "I64",
          "int32", "I32",
          "int16", "I16",
          "int8", "I8",
          "uint8", "U8");

  private final Vectors vectors;

  IoCases(Vectors vectors) {
    this.vectors = vectors;
  }

  @Override
  public List<VerifyCase> cases() throws IOException {
    List<VerifyCase> cases = new ArrayList<>();
    JsonObject json = vectors.json();
    Set<String> described = new HashSet<>(Set.of(vectors.name() + ".json"));
    if (json.has("good")) {
      for (Map.Entry<String, JsonElement> kind : json.getAsJsonObject("good").entrySet()) {
        for (Map.Entry<String, JsonElement> file : Values.entries(kind.getValue()).entrySet()) {
          described.add(file.getKey());
          JsonObject expected = file.getValue().getAsJsonObject();
          cases.add(new VerifyCase(AREA, file.getKey(), c -> good(file.getKey(), expected, c)));
        }
      }
    }
    if (json.has("bad")) {
      for (String name : json.getAsJsonObject("bad").keySet()) {
        described.add(name);
        cases.add(new VerifyCase(AREA, name, c -> bad(name, c)));
      }
    }
    for (String name : Values.names(vectors.directory())) {
      if (!described.contains(name)) {
        cases.add(VerifyCase.skipped(AREA, name, "unknown case"));
      }
    }
    return cases;
  }

  private void good(String name, JsonObject expected, Comparison comparison) {
    boolean mayRefuse =
        expected.has("verdict")
            && expected.get("verdict").getAsString().equals("may_accept_or_reject");
    try (TensorFile file = TensorFiles.open(path(name))) {
      if (expected.has("tensors")) {
        safetensors(file, expected, comparison);
      } else {
        torch((TorchFile) file, expected, comparison);
      }
    } catch (LongAlignException e) {
      if (!mayRefuse) {
        throw e;
      }
      comparison.same("verdict", true, mayRefuse);
    }
  }

  private void safetensors(TensorFile file, JsonObject expected, Comparison comparison) {
    JsonObject tensors = expected.getAsJsonObject("tensors");
    comparison.same("names", tensors.keySet(), file.names());
    for (String name : tensors.keySet()) {
      tensor(name, file.tensor(name), tensors.getAsJsonObject(name), comparison);
    }
    JsonElement metadata = expected.get("metadata");
    if (metadata != null) {
      JsonObject pairs = metadata.isJsonNull() ? new JsonObject() : metadata.getAsJsonObject();
      comparison.same("metadata", pairs.keySet(), file.metadata().keySet());
      file.metadata()
          .forEach((key, value) -> comparison.same(key, pairs.get(key).getAsString(), value));
    }
  }

  private void torch(TorchFile file, JsonObject expected, Comparison comparison) {
    if (expected.get("kind").getAsString().equals("list")) {
      list("items", expected.getAsJsonArray("items"), file.list(), comparison);
    } else {
      value("value", file.value(), expected.getAsJsonObject("value"), comparison);
    }
  }

  private void list(String what, JsonArray expected, List<?> got, Comparison comparison) {
    comparison.same(what + " length", expected.size(), got.size());
    for (int i = 0; i < Math.min(expected.size(), got.size()); i++) {
      value(what + "[" + i + "]", got.get(i), expected.get(i).getAsJsonObject(), comparison);
    }
  }

  private void value(String what, Object got, JsonObject expected, Comparison comparison) {
    if (expected.has("dtype")) {
      tensor(what, (StoredTensor) got, expected, comparison);
    } else if (expected.has("tensor")) {
      tensor(what, (StoredTensor) got, expected.getAsJsonObject("tensor"), comparison);
    } else if (expected.has("dict")) {
      List<String> keys = new ArrayList<>();
      Map<String, Object> map = new LinkedHashMap<>(); // keys may be numbers
      ((Map<?, ?>) got).forEach((key, item) -> map.put(String.valueOf(key), item));
      for (JsonElement pair : expected.getAsJsonArray("dict")) {
        JsonElement key = pair.getAsJsonArray().get(0);
        keys.add(key.getAsString());
        JsonObject value = pair.getAsJsonArray().get(1).getAsJsonObject();
        value(what + "." + key.getAsString(), map.get(key.getAsString()), value, comparison);
      }
      comparison.same(what + " keys", keys, List.copyOf(map.keySet()));
    } else if (expected.has("list") || expected.has("tuple")) {
      JsonArray items = expected.getAsJsonArray(expected.has("list") ? "list" : "tuple");
      list(what, items, (List<?>) got, comparison);
    } else {
      plain(what, got, expected.get("plain"), comparison);
    }
  }

  private static void plain(String what, Object got, JsonElement expected, Comparison comparison) {
    if (expected.isJsonNull()) {
      comparison.same(what, null, got);
    } else if (expected.getAsJsonPrimitive().isNumber()) {
      comparison.same(what, expected.getAsDouble(), ((Number) got).doubleValue());
    } else if (expected.getAsJsonPrimitive().isBoolean()) {
      comparison.same(what, expected.getAsBoolean(), got);
    } else { // JSON has no infinities and NaN but their names
      comparison.same(what, expected.getAsString(), got instanceof Double ? got.toString() : got);
    }
  }

  /** Bit by bit: floating values as doubles, whole ones as longs. */
  private static void tensor(
      String what, StoredTensor got, JsonObject expected, Comparison comparison) {
    String type = expected.get("dtype").getAsString();
    String wanted = TORCH_TYPES.getOrDefault(type, type.toUpperCase(Locale.ROOT));
    comparison.same(what + " dtype", wanted, got.dtype().name());
    long[] shape =
        expected.getAsJsonArray("shape").asList().stream()
            .mapToLong(JsonElement::getAsLong)
            .toArray();
    comparison.same(
        what + " shape", Arrays.toString(shape), Arrays.toString(got.shape().toArray()));
    List<JsonElement> values = expected.getAsJsonArray("values").asList();
    boolean floating = got.dtype().isFloating();
    double[] doubles = floating ? got.toDoubles() : new double[0];
    long[] longs = floating ? new long[0] : got.toLongs();
    comparison.same(what + " values", values.size(), Math.max(doubles.length, longs.length));
    for (int i = 0; i < Math.min(values.size(), Math.max(doubles.length, longs.length)); i++) {
      Object element =
          floating
              ? (Object) Double.parseDouble(values.get(i).getAsString())
              : whole(values.get(i));
      comparison.same(what + "[" + i + "]", element, floating ? (Object) doubles[i] : longs[i]);
    }
  }

  private static Object whole(JsonElement value) {
    return value.getAsJsonPrimitive().isBoolean()
        ? Long.valueOf(value.getAsBoolean() ? 1 : 0)
        : Long.valueOf(value.getAsBigInteger().longValueExact());
  }

  /** Refused in words that name the file, soon, and without writing anything beside it. */
  private void bad(String name, Comparison comparison) throws IOException {
    String why =
        vectors.json().getAsJsonObject("bad").getAsJsonObject(name).get("why").getAsString();
    List<String> before = Values.names(vectors.directory());
    if (!before.contains(name)) {
      throw new LongAlignException(path(name) + ": expected a file, found nothing");
    }
    long start = System.nanoTime();
    try (TensorFile file = TensorFiles.open(path(name))) {
      file.tensors().forEach(StoredTensor::data);
      comparison.wrong(name + ": expected a refusal (" + why + "), got " + file.names());
    } catch (LongAlignException e) {
      comparison.same("the message names the file", true, e.getMessage().contains(name));
    }
    double seconds = (System.nanoTime() - start) * 1e-9;
    if (seconds > SLOWEST_REFUSAL_SECONDS) {
      comparison.wrong(name + ": the refusal took " + seconds + " s");
    }
    comparison.same("files beside it", before, Values.names(vectors.directory()));
  }

  private Path path(String name) {
    return vectors.directory().resolve(name);
  }
}
