package dev.longalign.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import dev.longalign.LongAlignException;
import dev.longalign.autograd.AutogradBackend;
import dev.longalign.autograd.Gradients;
import dev.longalign.io.Config;
import dev.longalign.model.ClipConfig;
import dev.longalign.model.TrainableClip;
import dev.longalign.model.TrainableParameter;
import dev.longalign.nn.Parameter;
import dev.longalign.nn.WeightSource;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import dev.longalign.tensor.Tolerance;
import dev.longalign.tensor.cpu.CpuBackend;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Loss and gradients of both towers against torch and transformers: golden/denscore/training, whose
 * JSON file has the script that made it.
 */
class DenscoreObjectiveTest {
  private static final Golden GOLDEN = Golden.open("denscore/training");

  private final Backend cpu = new CpuBackend(2);

  @AfterEach
  void nothingIsLeft() {
    assertThat(cpu.memory().live()).as("bytes that no scope freed").isZero();
    cpu.close();
  }

  /** A model of the golden weights, some of them moved. */
  private static TrainableClip clip(AutogradBackend autograd, Map<String, float[]> moves) {
    Config config = Config.of("golden", GOLDEN.values().getAsJsonObject("config"));
    return TrainableClip.load(
        ClipConfig.of(config),
        new WeightSource() {
          @Override
          public void check(List<Parameter> declared) {
            List<String> names =
                GOLDEN.names().stream()
                    .filter(name -> name.startsWith("weight:"))
                    .map(name -> name.substring("weight:".length()))
                    .toList();
            assertThat(declared.stream().map(Parameter::name))
                .containsExactlyInAnyOrderElementsOf(names);
          }

          @Override
          public Tensor load(Backend backend, Parameter parameter) {
            float[] values = GOLDEN.floats("weight:" + parameter.name()).clone();
            float[] move = moves.get(parameter.name());
            for (int i = 0; move != null && i < values.length; i++) {
              values[i] += move[i];
            }
            return Tensor.of(backend, parameter.shape(), values);
          }
        },
        autograd,
        DType.F32);
  }

  private static List<int[]> ids() {
    List<int[]> ids = new ArrayList<>();
    for (JsonElement row : GOLDEN.values().getAsJsonArray("ids")) {
      ids.add(ints(row.getAsJsonArray()));
    }
    return ids;
  }

  private static int[] ints(JsonArray array) {
    int[] ints = new int[array.size()];
    Arrays.setAll(ints, i -> array.get(i).getAsInt());
    return ints;
  }

  private static StepInputs inputs(AutogradBackend autograd) {
    List<int[]> ids = ids();
    int longest = ids.stream().mapToInt(row -> row.length).max().orElseThrow();
    int[] rectangle = new int[ids.size() * longest];
    for (int i = 0; i < ids.size(); i++) {
      System.arraycopy(ids.get(i), 0, rectangle, i * longest, ids.get(i).length);
    }
    return new StepInputs(
        List.of("a", "b", "c", "d"),
        Map.of("pixels", GOLDEN.nhwc(autograd, "pixels")),
        Map.of(
            "ids",
            rectangle,
            "lengths",
            ids.stream().mapToInt(row -> row.length).toArray(),
            "captions",
            ints(GOLDEN.values().getAsJsonArray("captions")),
            "sizes",
            ints(GOLDEN.values().getAsJsonArray("sizes")),
            "members",
            ints(GOLDEN.values().getAsJsonArray("members"))));
  }

  private static double number(String key) {
    return GOLDEN.values().get(key).getAsDouble();
  }

  private static DenscoreObjective objective(
      TrainableClip clip, AutogradBackend autograd, double omega) {
    return new DenscoreObjective(
        clip,
        autograd,
        null,
        null,
        new DenscoreObjective.Settings(omega, number("segment_weight")));
  }

  @Test
  void features() {
    AutogradBackend autograd = new AutogradBackend(cpu, false);
    try (TrainableClip clip = clip(autograd, Map.of());
        TensorScope scope = TensorScope.open()) {
      Tolerance close = new Tolerance(2e-5, 1e-3);
      GOLDEN.check(close, "text_features", clip.textFeatures(ids()));
      GOLDEN.check(close, "image_features", clip.imageFeatures(GOLDEN.nhwc(autograd, "pixels")));
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void lossAndGradients(boolean checkpoints) {
    AutogradBackend autograd = new AutogradBackend(cpu, checkpoints);
    try (TrainableClip clip = clip(autograd, Map.of());
        TensorScope scope = TensorScope.open()) {
      Loss loss = objective(clip, autograd, number("omega")).loss(inputs(autograd));
      assertThat(loss.value()).isCloseTo(number("loss"), within(1e-5));
      Gradients gradients = loss.backward(autograd, 1);
      Map<String, Tensor> found = new HashMap<>();
      for (TrainableParameter p : clip.parameters()) {
        found.put(p.name(), gradients.of(p.value()));
      }
      // The bias of a key adds the same to all scores of a query: its gradient is rounding.
      double worst = 0;
      for (TrainableParameter p : clip.parameters()) {
        float[] expected = GOLDEN.floats("grad:" + p.name());
        float[] actual = found.get(p.name()).toFloats();
        double error = 0;
        double magnitude = 1e-4;
        for (int i = 0; i < expected.length; i++) {
          error = Math.max(error, Math.abs((double) expected[i] - actual[i]));
          magnitude = Math.max(magnitude, Math.abs(expected[i]));
        }
        assertThat(error / magnitude).as(p.name()).isLessThanOrEqualTo(1e-3);
        worst = Math.max(worst, error / magnitude);
      }
      assertThat(worst).isPositive();
    }
  }

  /** Along a random direction through all parameters; V is no constant here, so omega is 1. */
  @Test
  void gradientsAgreeWithDifferences() {
    AutogradBackend autograd = new AutogradBackend(cpu, false);
    Random random = new Random(8);
    Map<String, float[]> forth = new HashMap<>();
    Map<String, float[]> back = new HashMap<>();
    double along = 0;
    double step = 2e-3;
    try (TrainableClip clip = clip(autograd, Map.of());
        TensorScope scope = TensorScope.open()) {
      Gradients gradients =
          objective(clip, autograd, 1).loss(inputs(autograd)).backward(autograd, 1);
      for (TrainableParameter p : clip.parameters()) {
        float[] gradient = gradients.of(p.value()).toFloats();
        float[] plus = new float[gradient.length];
        float[] minus = new float[gradient.length];
        for (int i = 0; i < plus.length; i++) {
          double direction = random.nextGaussian();
          plus[i] = (float) (step * direction);
          minus[i] = -plus[i];
          along += gradient[i] * direction;
        }
        forth.put(p.name(), plus);
        back.put(p.name(), minus);
      }
    }
    double difference = (loss(autograd, forth) - loss(autograd, back)) / (2 * step);
    assertThat(difference).isCloseTo(along, within(1e-2 * Math.abs(along)));
  }

  private static double loss(AutogradBackend autograd, Map<String, float[]> moves) {
    try (TrainableClip clip = clip(autograd, moves);
        TensorScope scope = TensorScope.open()) {
      return objective(clip, autograd, 1).loss(inputs(autograd)).value();
    }
  }

  @Test
  void settings() {
    assertThatThrownBy(() -> new DenscoreObjective.Settings(1.5, 1))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("1.5");
    assertThatThrownBy(() -> new DenscoreObjective.Settings(1, Double.NaN))
        .isInstanceOf(LongAlignException.class);
  }
}
