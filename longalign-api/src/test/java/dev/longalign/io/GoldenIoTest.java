package dev.longalign.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assertions.assertTimeout;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.longalign.LongAlignException;
import dev.longalign.tensor.DType;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The reference's verdict on good and bad files; {@code golden/io/io.json} describes each. */
class GoldenIoTest {
  private static final Path IO = IoFixtures.GOLDEN.resolve("io");
  private static final JsonObject CASES = Json.readObject(IO.resolve("io.json"));
  private static final Map<String, DType> TORCH_NAMES =
      Map.of(
          "float64",
          DType.F64,
          "float32",
          DType.F32,
          "float16",
          DType.F16,
          "bfloat16",
          DType.BF16,
          "int64",
          DType.I64,
          "int32",
          DType.I32,
          "int16",
          DType.I16,
          "int8",
          DType.I8,
          "uint8",
          DType.U8,
          "bool",
          DType.BOOL);

  static Stream<String> goodSafetensors() {
    return CASES.getAsJsonObject("good").getAsJsonObject("safetensors").keySet().stream();
  }

  static Stream<String> goodTorch() {
    return CASES.getAsJsonObject("good").getAsJsonObject("torch").keySet().stream();
  }

  static Stream<String> bad() {
    return CASES.getAsJsonObject("bad").keySet().stream();
  }

  @ParameterizedTest
  @MethodSource("goodSafetensors")
  void readsGoodSafetensors(String name) {
    JsonObject expected =
        CASES.getAsJsonObject("good").getAsJsonObject("safetensors").getAsJsonObject(name);
    try (TensorFile file = TensorFiles.open(IO.resolve(name))) {
      JsonObject tensors = expected.getAsJsonObject("tensors");
      assertThat(file.names()).containsExactlyInAnyOrderElementsOf(tensors.keySet());
      tensors.keySet().forEach(key -> check(file.tensor(key), tensors.getAsJsonObject(key)));
      JsonElement metadata = expected.get("metadata");
      assertThat(file.metadata())
          .hasSize(metadata.isJsonNull() ? 0 : metadata.getAsJsonObject().size());
      file.metadata()
          .forEach(
              (key, value) ->
                  assertThat(value).isEqualTo(metadata.getAsJsonObject().get(key).getAsString()));
    }
  }

  @ParameterizedTest
  @MethodSource("goodTorch")
  void readsGoodTorchFiles(String name) {
    JsonObject expected =
        CASES.getAsJsonObject("good").getAsJsonObject("torch").getAsJsonObject(name);
    try (TorchFile file = TorchFile.open(IO.resolve(name))) {
      if (expected.get("kind").getAsString().equals("list")) {
        JsonArray items = expected.getAsJsonArray("items");
        assertThat(file.list()).hasSize(items.size());
        for (int i = 0; i < items.size(); i++) {
          check(file.list().get(i), items.get(i).getAsJsonObject());
        }
      } else {
        checkValue(file.value(), expected.getAsJsonObject("value"));
      }
    }
  }

  @ParameterizedTest
  @MethodSource("bad")
  void refusesBadFiles(String name) {
    List<String> before = IoFixtures.list(IO);
    String why = CASES.getAsJsonObject("bad").getAsJsonObject(name).get("why").getAsString();
    assertTimeout(
        Duration.ofSeconds(10),
        () ->
            assertThatThrownBy(
                    () -> {
                      try (TensorFile file = TensorFiles.open(IO.resolve(name))) {
                        file.tensors().forEach(StoredTensor::data);
                      }
                    })
                .as(why)
                .isExactlyInstanceOf(LongAlignException.class)
                .hasMessageContaining(name));
    assertThat(IoFixtures.list(IO)).isEqualTo(before);
  }

  @Test
  void everyFileHasACase() {
    List<String> known = new ArrayList<>(List.of("io.json"));
    Stream.of(goodSafetensors(), goodTorch(), bad()).flatMap(names -> names).forEach(known::add);
    assertThat(known).containsExactlyInAnyOrderElementsOf(IoFixtures.list(IO));
    assertThat(Files.exists(Path.of("/longalign_zip_slip_abs"))).isFalse();
  }

  @Test
  void messagesSayWhatIsWrong() {
    Map.of(
            "bad_call_os_system.pt", "os.system",
            "bad_call_inst_opcode.pt", "os.system",
            "bad_html.pt", "web page",
            "bad_truncated_zip.pt", "incomplete download",
            "bad_storage_too_short.pt", "240 bytes, its record has 24",
            "bad_overlap.safetensors", "inside of",
            "bad_trailing_data.safetensors", "after the last tensor",
            "bad_unknown_dtype.safetensors", "is not supported",
            "bad_duplicate_key.safetensors", "occurs twice")
        .forEach(
            (name, words) ->
                assertThatThrownBy(() -> TensorFiles.open(IO.resolve(name)))
                    .hasMessageContaining(words));
  }

  private static void checkValue(Object found, JsonObject expected) {
    if (expected.has("tensor")) {
      check((StoredTensor) found, expected.getAsJsonObject("tensor"));
    } else if (expected.has("dict")) {
      Map<?, ?> map = (Map<?, ?>) found;
      List<Object> keys = new ArrayList<>();
      for (JsonElement pair : expected.getAsJsonArray("dict")) {
        String key = pair.getAsJsonArray().get(0).getAsString();
        keys.add(key);
        checkValue(map.get(key), pair.getAsJsonArray().get(1).getAsJsonObject());
      }
      assertThat(new ArrayList<Object>(map.keySet())).isEqualTo(keys);
    } else if (expected.has("list") || expected.has("tuple")) {
      JsonArray items = expected.getAsJsonArray(expected.has("list") ? "list" : "tuple");
      List<?> list = (List<?>) found;
      assertThat(list).hasSize(items.size());
      for (int i = 0; i < items.size(); i++) {
        checkValue(list.get(i), items.get(i).getAsJsonObject());
      }
    } else {
      checkPlain(found, expected.get("plain"));
    }
  }

  private static void checkPlain(Object found, JsonElement expected) {
    if (expected.isJsonNull()) {
      assertThat(found).isNull();
    } else if (expected.getAsJsonPrimitive().isNumber()) {
      assertThat(((Number) found).doubleValue()).isEqualTo(expected.getAsDouble());
    } else if (expected.getAsJsonPrimitive().isBoolean()) {
      assertThat(found).isEqualTo(expected.getAsBoolean());
    } else {
      assertThat(found).isEqualTo(expected.getAsString());
    }
  }

  /** Values are exact: floats as doubles bit for bit, integers as longs. */
  private static void check(StoredTensor tensor, JsonObject expected) {
    String dtype = expected.get("dtype").getAsString();
    assertThat(tensor.dtype())
        .isEqualTo(TORCH_NAMES.containsKey(dtype) ? TORCH_NAMES.get(dtype) : DType.valueOf(dtype));
    JsonArray shape = expected.getAsJsonArray("shape");
    assertThat(tensor.shape().rank()).isEqualTo(shape.size());
    for (int i = 0; i < shape.size(); i++) {
      assertThat(tensor.shape().dim(i)).isEqualTo(shape.get(i).getAsLong());
    }
    JsonArray values = expected.getAsJsonArray("values");
    assertThat(tensor.toFloats()).hasSize(values.size());
    if (tensor.dtype().isFloating()) {
      checkFloats(tensor, values);
    } else {
      long[] longs = tensor.toLongs();
      for (int i = 0; i < longs.length; i++) {
        boolean bool = values.get(i).getAsJsonPrimitive().isBoolean();
        long value =
            bool
                ? (values.get(i).getAsBoolean() ? 1 : 0)
                : values.get(i).getAsBigInteger().longValueExact();
        assertThat(longs[i]).as("%s at %d", tensor, i).isEqualTo(value);
        assertThat(tensor.toFloats()[i]).as("%s at %d", tensor, i).isEqualTo((float) value);
      }
    }
  }

  private static void checkFloats(StoredTensor tensor, JsonArray values) {
    double[] doubles = tensor.toDoubles();
    float[] floats = tensor.toFloats();
    for (int i = 0; i < doubles.length; i++) {
      double value = Double.parseDouble(values.get(i).getAsString());
      assertThat(Double.doubleToLongBits(doubles[i]))
          .as("%s at %d: %s", tensor, i, doubles[i])
          .isEqualTo(Double.doubleToLongBits(value));
      assertThat(Float.floatToIntBits(floats[i]))
          .as("%s at %d: %s", tensor, i, floats[i])
          .isEqualTo(Float.floatToIntBits((float) value));
    }
  }
}
