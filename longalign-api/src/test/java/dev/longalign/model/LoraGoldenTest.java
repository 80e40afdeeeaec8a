package dev.longalign.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.longalign.nn.LayerBranches;
import dev.longalign.nn.LayerSpec;
import dev.longalign.nn.Parameter;
import dev.longalign.nn.WeightSource;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import dev.longalign.tensor.Tolerance;
import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** LoRAs injected and merged, one and two, against the reference. */
class LoraGoldenTest {
  private static final Golden FORWARD = Golden.open("unet/forward");
  private static final Golden LORA = Golden.open("unet/lora");

  private static Backend backend;
  private static UNet2DConditionConfig config;
  private static Lora align;
  private static Lora reward;

  @BeforeAll
  static void read() {
    backend = TestModels.backend();
    config = UNet2DConditionConfig.of(TestModels.config("unet"));
    List<LayerSpec> layers = UNet2DCondition.layers(config);
    align = Lora.read(TestModels.folder().resolve("s28750_lora_vis.pt"), layers);
    reward = Lora.read(TestModels.folder().resolve("sd15-reward-3750.pt"), layers);
  }

  @AfterAll
  static void closeEverything() {
    assertThat(backend.memory().live()).as("bytes that no scope freed").isZero();
    backend.close();
  }

  @Test
  void walksTheLayersInTheOrderOfTheReference() throws IOException {
    String text = Files.readString(TestModels.folder().resolve("lora_layout.json"));
    JsonObject files = JsonParser.parseString(text).getAsJsonObject().getAsJsonObject("files");
    for (Map.Entry<String, JsonElement> file : files.entrySet()) {
      JsonObject layout = file.getValue().getAsJsonObject();
      var model = UNet2DConditionConfig.of(TestModels.config(layout.get("model").getAsString()));
      List<String> expected = new ArrayList<>();
      for (JsonElement entry : layout.getAsJsonArray("entries")) {
        expected.add(entry.getAsJsonObject().get("module").getAsString());
      }
      assertThat(UNet2DCondition.loraLayers(model))
          .as(file.getKey())
          .extracting(LayerSpec::path)
          .isEqualTo(expected);
    }
  }

  @Test
  void declaresEveryTensorOfTheFile() {
    List<Parameter> declared = LayerSpec.parameters(UNet2DCondition.layers(config));
    assertThat(declared)
        .extracting(Parameter::name)
        .containsExactlyInAnyOrderElementsOf(TestModels.file("unet").names());
  }

  @Test
  void injectedOnce() {
    check("injected_1", TestModels.weights("unet"), align.injected(1));
  }

  @Test
  void mergedOnce() {
    check("merged_1", align.mergedInto(TestModels.weights("unet"), 1), LayerBranches.NONE);
  }

  /** With half of its rank as alpha, and twice as much of it. */
  @Test
  void alphaTimesScale() {
    Map<String, Lora.Entry> entries = new LinkedHashMap<>();
    align
        .entries()
        .forEach((path, e) -> entries.put(path, new Lora.Entry(e.layer(), e.up(), e.down(), 0.5f)));
    Lora half = new Lora("half", entries, 0);
    check("injected_1", TestModels.weights("unet"), half.injected(2));
    check("merged_1", half.mergedInto(TestModels.weights("unet"), 2), LayerBranches.NONE);
    check("merged_1", half.mergedInto(TestModels.weights("unet"), 1), half.injected(1));
  }

  @Test
  void injectedIntoMerged() {
    check("injected_2", align.mergedInto(TestModels.weights("unet"), 1), reward.injected(1));
  }

  @Test
  void injectedTwice() {
    check("merged_2", TestModels.weights("unet"), align.injected(1).and(reward.injected(1)));
  }

  @Test
  void mergedTwice() {
    check("merged_2", twice(), LayerBranches.NONE);
  }

  @Test
  void scaleZeroChangesNothingAndScaleMinusOneTakesBack() {
    WeightSource back = align.mergedInto(align.mergedInto(TestModels.weights("unet"), 1), -1);
    check(FORWARD, "out_t500", back, align.injected(0));
  }

  @Test
  void mergedWeightsAreThoseOfTheReference() {
    WeightSource merged = twice();
    JsonObject digests =
        LORA.values().getAsJsonObject("merged_2_weight_digests").getAsJsonObject("value");
    assertThat(digests.keySet()).hasSameSizeAs(TestModels.file("unet").names());
    for (Parameter parameter : LayerSpec.parameters(UNet2DCondition.layers(config))) {
      try (TensorScope scope = TensorScope.open()) {
        Tensor value = merged.load(backend, parameter);
        checkDigest(parameter.name(), digests.getAsJsonObject(parameter.name()), value.toFloats());
        if (LORA.names().contains("weight:" + parameter.name())) {
          LORA.check(Tolerance.relative(1e-6), "weight:" + parameter.name(), value);
        }
      }
    }
  }

  private static void checkDigest(String name, JsonObject digest, float[] values) {
    double sum = 0;
    double squares = 0;
    double max = 0;
    double pattern = 0;
    for (int i = 0; i < values.length; i++) {
      double x = values[i];
      sum += x;
      squares += x * x;
      max = Math.max(max, Math.abs(x));
      pattern += x * (((long) i * 40503 % 65536) / 65536.0 - 0.5);
    }
    double tolerance = 1e-6 * Math.sqrt(values.length) * Math.max(1, max);
    assertThat(sum).as(name + " sum").isCloseTo(digest.get("sum").getAsDouble(), within(tolerance));
    assertThat(Math.sqrt(squares))
        .as(name + " l2")
        .isCloseTo(digest.get("l2").getAsDouble(), within(tolerance));
    assertThat(max)
        .as(name + " max_abs")
        .isCloseTo(digest.get("max_abs").getAsDouble(), within(tolerance));
    assertThat(pattern)
        .as(name + " pattern")
        .isCloseTo(digest.get("pattern_dot").getAsDouble(), within(tolerance));
  }

  private static WeightSource twice() {
    return reward.mergedInto(align.mergedInto(TestModels.weights("unet"), 1), 1);
  }

  private static void check(String name, WeightSource source, LayerBranches branches) {
    check(LORA, name, source, branches);
  }

  private static void check(
      Golden golden, String name, WeightSource source, LayerBranches branches) {
    try (UNet2DCondition unet = UNet2DCondition.load(config, source, backend, DType.F32, branches);
        TensorScope scope = TensorScope.open()) {
      PreparedContext context = unet.prepareContext(FORWARD.tensor(backend, "context"));
      golden.checkNhwc(
          Tolerance.F32, name, unet.forward(FORWARD.nhwc(backend, "sample"), 500, context));
    }
  }
}
