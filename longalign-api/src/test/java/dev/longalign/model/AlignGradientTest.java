package dev.longalign.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import dev.longalign.autograd.AutogradBackend;
import dev.longalign.autograd.Gradients;
import dev.longalign.nn.LayerDropout;
import dev.longalign.nn.LayerSpec;
import dev.longalign.tensor.AdamW;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Training steps of stage 1 against the reference: every gradient of LoRA and adapter. */
class AlignGradientTest {
  private final Backend cpu = TestModels.backend();

  @AfterEach
  void nothingIsLeft() {
    assertThat(cpu.memory().live()).as("bytes that no scope freed").isZero();
    cpu.close();
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void oneStep(boolean checkpoints) {
    Golden golden = Golden.open("align/one_step");
    try (Trained trained = new Trained(cpu, checkpoints, LayerDropout.NONE);
        TensorScope scope = TensorScope.open()) {
      Tensor loss = trained.loss(golden, 0);
      assertThat(loss.toFloats()[0])
          .isCloseTo(golden.values().get("loss").getAsFloat(), within(1e-5f));
      Gradients gradients = trained.autograd.backward(loss);
      checkGradients(golden, trained, gradients, stored(golden));
      checkStep(golden, trained, gradients);
    }
  }

  @Test
  void oneStepWithGivenMasks() {
    Golden golden = Golden.open("align/one_step_dropout");
    Masks masks = new Masks(golden);
    try (Trained trained = new Trained(cpu, true, masks);
        TensorScope scope = TensorScope.open()) {
      Tensor loss = trained.loss(golden, 0);
      assertThat(loss.toFloats()[0])
          .isCloseTo(golden.values().get("loss").getAsFloat(), within(1e-5f));
      Gradients gradients = trained.autograd.backward(loss);
      checkDigests(golden, trained, gradients);
      checkStep(golden, trained, gradients);
    }
  }

  @Test
  void accumulatedSteps() {
    Golden golden = Golden.open("align/accumulation");
    try (Trained trained = new Trained(cpu, false, LayerDropout.NONE);
        TensorScope scope = TensorScope.open()) {
      Map<String, Tensor> sums = new LinkedHashMap<>();
      for (int i = 0; i < 2; i++) {
        Tensor loss = trained.loss(golden, i);
        assertThat(loss.toFloats()[0])
            .isCloseTo(losses(golden.values(), "value").get(i).getAsFloat(), within(1e-5f));
        Gradients gradients = trained.autograd.backward(loss.scale(0.5f));
        trained.parameters.forEach(
            (name, p) -> {
              Tensor gradient = gradients.of(p.value());
              sums.merge(
                  name,
                  gradient,
                  (sum, more) -> {
                    trained.autograd.training().accumulate(sum, 1, more);
                    return sum;
                  });
            });
      }
      JsonObject digests = digests(golden, "grad_digests");
      for (String name : digests.keySet()) {
        JsonObject digest = digests.getAsJsonObject(name);
        check(digest, name, sums.get(name).toFloats(), 1e-3 * digest.get("l2").getAsDouble());
      }
      double norm = AdamW.norm(sums.values());
      double expected = golden.values().get("grad_norm").getAsDouble();
      assertThat(norm).isCloseTo(expected, within(1e-4 * expected));
    }
  }

  private static JsonArray losses(JsonObject values, String key) {
    return values.getAsJsonObject("losses").getAsJsonArray(key);
  }

  @ParameterizedTest
  @ValueSource(strings = {"lr_1e-3", "zero_up_lr_1e-3"})
  void fiveSteps(String run) {
    Golden golden = Golden.open("align/trajectory");
    JsonObject expected = golden.values().getAsJsonObject(run).getAsJsonObject("value");
    try (Trained trained = new Trained(cpu, true, LayerDropout.NONE)) {
      if (run.startsWith("zero_up")) {
        for (TrainableParameter p : trained.lora.parameters()) {
          if (p.name().endsWith("lora_up.weight")) {
            trained.autograd.training().accumulate(p.value(), -1, p.value());
          }
        }
      }
      for (int i = 0; i < 5; i++) {
        try (TensorScope scope = TensorScope.open()) {
          Tensor loss = trained.loss(golden, i);
          assertThat(loss.toFloats()[0])
              .as("loss of step " + i)
              .isCloseTo(expected.getAsJsonArray("losses").get(i).getAsFloat(), within(1e-5f));
          Gradients gradients = trained.autograd.backward(loss);
          double norm = trained.step(gradients, expected.get("lr").getAsDouble(), i + 1);
          double wanted = expected.getAsJsonArray("grad_norms").get(i).getAsDouble();
          assertThat(norm).as("norm of step " + i).isCloseTo(wanted, within(1e-3 * wanted));
        }
      }
      for (String name : golden.names()) {
        if (run.equals("lr_1e-3") && name.startsWith("final:")) {
          float[] values =
              trained.parameters.get(name.substring("final:".length())).value().toFloats();
          // The reference itself is this far from a run in f64: where a gradient is nearly zero,
          // Adam turns rounding into steps.
          float rounding = expected.get("float64_max_abs_diff_of_final").getAsFloat();
          assertThat(values).as(name).containsExactly(golden.floats(name), within(rounding));
        }
      }
    }
  }

  private static List<String> stored(Golden golden) {
    return golden.names().stream().filter(name -> name.startsWith("grad:")).toList();
  }

  private static void checkGradients(
      Golden golden, Trained trained, Gradients gradients, List<String> names) {
    assertThat(names).hasSizeGreaterThan(100);
    for (String name : names) {
      TrainableParameter parameter = trained.parameters.get(name.substring("grad:".length()));
      assertThat(parameter.shape()).as(name).isEqualTo(golden.shape(name));
      float[] expected = golden.floats(name);
      float[] actual = gradients.of(parameter.value()).toFloats();
      double error = 0;
      double magnitude = 0;
      for (int i = 0; i < expected.length; i++) {
        error = Math.max(error, Math.abs(expected[i] - actual[i]));
        magnitude = Math.max(magnitude, Math.abs(expected[i]));
      }
      assertThat(error).as(name).isLessThanOrEqualTo(1e-3 * magnitude);
    }
  }

  private static void checkDigests(Golden golden, Trained trained, Gradients gradients) {
    JsonObject digests = digests(golden, "grad_digests");
    assertThat(digests.keySet()).isEqualTo(trained.parameters.keySet());
    for (String name : digests.keySet()) {
      JsonObject digest = digests.getAsJsonObject(name);
      double l2 = digest.get("l2").getAsDouble();
      float[] values = gradients.of(trained.parameters.get(name).value()).toFloats();
      check(digest, name, values, 1e-3 * l2);
    }
  }

  private static void checkStep(Golden golden, Trained trained, Gradients gradients) {
    double norm = trained.step(gradients, 3e-5, 1);
    double expected = golden.values().getAsJsonObject("grad_norm").get("value").getAsDouble();
    assertThat(norm).isCloseTo(expected, within(1e-4 * expected));
    JsonObject digests = digests(golden, "after_digests");
    for (String name : digests.keySet()) {
      float[] values = trained.parameters.get(name).value().toFloats();
      check(digests.getAsJsonObject(name), name, values, 1e-5 * Math.sqrt(values.length));
    }
    for (String name : golden.names()) {
      if (name.startsWith("after:")) {
        float[] values =
            trained.parameters.get(name.substring("after:".length())).value().toFloats();
        assertThat(values).as(name).containsExactly(golden.floats(name), within(1e-5f));
      }
    }
  }

  private static JsonObject digests(Golden golden, String name) {
    return golden
        .values()
        .getAsJsonObject(name)
        .getAsJsonObject("value")
        .getAsJsonObject("digests");
  }

  private static void check(JsonObject digest, String name, float[] values, double tolerance) {
    double squares = 0;
    double max = 0;
    double pattern = 0;
    for (int i = 0; i < values.length; i++) {
      double x = values[i];
      squares += x * x;
      max = Math.max(max, Math.abs(x));
      pattern += x * (((long) i * 40503 % 65536) / 65536.0 - 0.5);
    }
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

  /** Recorded masks, in the reference's layout. */
  private static final class Masks implements LayerDropout {
    private final Golden golden;

    Masks(Golden golden) {
      this.golden = golden;
    }

    @Override
    public Tensor apply(String layer, Tensor x) {
      String name = "mask:" + (layer.startsWith("ff") ? "adapter." + layer : layer);
      Shape shape = golden.shape(name);
      float[] mask = golden.floats(name);
      float[] kept = shape.rank() == 4 ? Golden.toNhwc(shape, mask) : mask;
      for (int i = 0; i < kept.length; i++) {
        kept[i] /= 0.9f;
      }
      return x.multiply(Tensor.of(x.backend(), x.shape(), kept));
    }
  }

  /** A UNet with LoRA and an adapter, in training. */
  static final class Trained implements AutoCloseable {
    final AutogradBackend autograd;
    final TrainableLora lora;
    final TrainableTextAdapter adapter;
    final UNet2DCondition unet;
    final Map<String, TrainableParameter> parameters = new LinkedHashMap<>();
    private final TensorScope moments = TensorScope.detached();
    private final List<Tensor[]> state = new ArrayList<>();

    Trained(Backend cpu, boolean checkpoints, LayerDropout dropout) {
      this(cpu, checkpoints, dropout, DType.F32);
    }

    Trained(Backend cpu, boolean checkpoints, LayerDropout dropout, DType dtype) {
      autograd = new AutogradBackend(cpu, checkpoints);
      UNet2DConditionConfig config = UNet2DConditionConfig.of(TestModels.config("unet_train"));
      List<LayerSpec> layers = UNet2DCondition.loraLayers(config);
      Lora initial =
          Lora.read(
              TestModels.folder().resolve("lora_train_init.pt"), UNet2DCondition.layers(config));
      lora = TrainableLora.of(autograd, layers, initial, dropout);
      adapter =
          TrainableTextAdapter.load(
              TextAdapterConfig.of(TestModels.config("s28750_adapter")),
              TestModels.weights("s28750_adapter"),
              autograd,
              dtype,
              dropout);
      unet =
          UNet2DCondition.load(
              config, TestModels.weights("unet_train"), autograd, dtype, lora.branches());
      lora.parameters().forEach(p -> parameters.put("lora." + p.name(), p));
      adapter.parameters().forEach(p -> parameters.put("adapter." + p.name(), p));
    }

    Tensor loss(Golden golden, int step) {
      JsonArray t =
          golden
              .values()
              .getAsJsonObject("timesteps")
              .getAsJsonArray("value")
              .get(step)
              .getAsJsonArray();
      float[] timesteps = new float[t.size()];
      for (int i = 0; i < timesteps.length; i++) {
        timesteps[i] = t.get(i).getAsFloat();
      }
      Tensor noisy = noisy(golden, step, timesteps);
      Tensor clip = golden.tensor(autograd, "clip");
      Tensor text = adapter.forward(golden.tensor(autograd, "t5"));
      PreparedContext context = unet.prepareContext(Tensor.concat(1, clip, text));
      return unet.forward(noisy, timesteps, context).meanSquaredError(noise(golden, step));
    }

    private Tensor noise(Golden golden, int step) {
      Shape all = golden.shape("noise");
      Shape one = Shape.of(all.dim(1), all.dim(2), all.dim(3), all.dim(4));
      int size = Math.toIntExact(one.size());
      float[] values =
          java.util.Arrays.copyOfRange(golden.floats("noise"), step * size, (step + 1) * size);
      return Tensor.of(autograd, Golden.nhwc(one), Golden.toNhwc(one, values));
    }

    /** {@code sqrt(alpha) latents + sqrt(1 - alpha) noise}, with SD's scaled linear betas. */
    private Tensor noisy(Golden golden, int step, float[] timesteps) {
      Tensor latents = golden.nhwc(autograd, "latents");
      Tensor noise = noise(golden, step);
      Tensor[] rows = new Tensor[timesteps.length];
      for (int b = 0; b < rows.length; b++) {
        double alpha = 1;
        for (int i = 0; i <= timesteps[b]; i++) {
          double root = Math.sqrt(0.00085) + (Math.sqrt(0.012) - Math.sqrt(0.00085)) * i / 999;
          alpha *= 1 - root * root;
        }
        float[] c = {(float) Math.sqrt(alpha), (float) Math.sqrt(1 - alpha)};
        rows[b] = Tensor.linearCombination(c, latents.rows(b, b + 1), noise.rows(b, b + 1));
      }
      return Tensor.concat(0, rows);
    }

    /** One clipped step of AdamW; the norm before clipping. */
    double step(Gradients gradients, double learningRate, int number) {
      List<TrainableParameter> all = new ArrayList<>(parameters.values());
      if (state.isEmpty()) {
        try (TensorScope scope = TensorScope.open()) {
          for (TrainableParameter p : all) {
            Tensor first = Tensor.zeros(autograd, DType.F32, p.value().shape());
            Tensor second = Tensor.zeros(autograd, DType.F32, p.value().shape());
            state.add(new Tensor[] {moments.adopt(first), moments.adopt(second)});
          }
        }
      }
      double norm = AdamW.norm(all.stream().map(p -> gradients.of(p.value())).toList());
      AdamW adamW =
          new AdamW(learningRate, 0.9, 0.999, 1e-8, 1e-2, number, AdamW.clipScale(norm, 0.3));
      for (int i = 0; i < all.size(); i++) {
        Tensor value = all.get(i).value();
        adamW.step(value, gradients.of(value), state.get(i)[0], state.get(i)[1]);
      }
      return norm;
    }

    @Override
    public void close() {
      moments.close();
      unet.close();
      adapter.close();
      lora.close();
    }
  }
}
