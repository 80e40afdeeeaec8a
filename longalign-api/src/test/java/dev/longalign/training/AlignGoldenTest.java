package dev.longalign.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import dev.longalign.model.TrainableParameter;
import dev.longalign.nn.LayerDropout;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import dev.longalign.tensor.cpu.CpuBackend;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Stage 1 against the reference, through the objective and the optimizer of the trainer. */
class AlignGoldenTest {
  private static final Logger LOG = LoggerFactory.getLogger(AlignGoldenTest.class);

  private static StepInputs inputs(Golden golden, TinyTraining tiny, int step) {
    return new StepInputs(
        List.of("golden"),
        Map.of(
            "latents", golden.nhwc(tiny.autograd, "latents"),
            "noise", tiny.step(golden, "noise", step),
            "clip", golden.tensor(tiny.autograd, "clip"),
            "t5", golden.tensor(tiny.autograd, "t5")),
        Map.of(
            "timesteps",
            TinyTraining.ints(
                TinyTraining.value(golden.values(), "timesteps").getAsJsonArray().get(step))));
  }

  private static AlignObjective<Object> objective(TinyTraining tiny, float huber) {
    return new AlignObjective<>(
        tiny.unet,
        tiny.adapter::forward,
        tiny.schedule,
        null,
        new AlignObjective.Settings(0, huber));
  }

  static double differentiate(
      TinyTraining tiny, Golden golden, Optimizer optimizer, int step, float scale) {
    try (TensorScope scope = TensorScope.open()) {
      Loss loss = objective(tiny, 0).loss(inputs(golden, tiny, step));
      optimizer.add(loss.backward(tiny.autograd, scale));
      return loss.value();
    }
  }

  static Optimizer optimizer(TinyTraining tiny, double rate) {
    return new Optimizer(
        tiny.autograd, tiny.model.parameters(), TrainerSettings.DEFAULT.withLearningRate(rate, 0));
  }

  @ParameterizedTest
  @ValueSource(strings = {"one_step", "one_step_dropout"})
  void oneStep(String name) {
    oneStep(new CpuBackend(1), name);
  }

  /** The loss, every gradient, their norm and the parameters after a step; closes the backend. */
  static void oneStep(Backend backend, String name) {
    Golden golden = Golden.open("align/" + name);
    LayerDropout dropout = name.equals("one_step") ? LayerDropout.NONE : new Masks(golden);
    try (TinyTraining tiny = TinyTraining.align(backend, dropout, true);
        Optimizer optimizer = optimizer(tiny, 3e-5)) {
      double loss = differentiate(tiny, golden, optimizer, 0, 1);
      assertThat(loss).isCloseTo(TinyTraining.number(golden, "loss"), within(1e-5));
      double gradients = GradientChecks.gradients(golden, optimizer.gradients());
      double norm = optimizer.norm();
      double expected = TinyTraining.number(golden, "grad_norm");
      assertThat(norm).isCloseTo(expected, within(1e-4 * expected));
      optimizer.step(norm, 0);
      double after =
          GradientChecks.values(
              golden,
              "after:",
              GradientChecks.digests(golden.values(), "after_digests", "digests"),
              tiny.parameters(),
              1e-5);
      LOG.info("{}: loss {}, gradients {}, after {}", name, loss, gradients, after);
    }
  }

  @Test
  void huberLoss() {
    Golden golden = Golden.open("align/one_step");
    try (TinyTraining tiny = TinyTraining.align(LayerDropout.NONE);
        TensorScope scope = TensorScope.open()) {
      assertThat(objective(tiny, 1e-3f).loss(inputs(golden, tiny, 0)).value())
          .isCloseTo(TinyTraining.number(golden, "loss_huber"), within(1e-5));
    }
  }

  @Test
  void accumulation() {
    Golden golden = Golden.open("align/accumulation");
    JsonArray losses = TinyTraining.value(golden.values(), "losses").getAsJsonArray();
    try (TinyTraining tiny = TinyTraining.align(LayerDropout.NONE);
        Optimizer optimizer = optimizer(tiny, 3e-5)) {
      for (int i = 0; i < 2; i++) {
        assertThat(differentiate(tiny, golden, optimizer, i, 0.5f))
            .isCloseTo(losses.get(i).getAsDouble(), within(1e-5));
      }
      double gradients = GradientChecks.gradients(golden, optimizer.gradients());
      double norm = optimizer.norm();
      double expected = TinyTraining.number(golden, "grad_norm");
      assertThat(norm).isCloseTo(expected, within(1e-4 * expected));
      optimizer.step(norm, 0);
      double after =
          GradientChecks.values(
              golden,
              "after:",
              GradientChecks.digests(golden.values(), "after_digests", "digests"),
              tiny.parameters(),
              1e-5);
      LOG.info("accumulation: gradients {}, after {}", gradients, after);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"lr_3e-5", "lr_1e-3", "zero_up_lr_1e-3"})
  void fiveSteps(String run) {
    fiveSteps(new CpuBackend(1), run, true, 1);
  }

  /**
   * Losses and norms of five steps, and the parameters after them; closes the backend.
   *
   * @param roundings how far parameters may be off, in units of what the reference itself is off
   */
  static void fiveSteps(Backend backend, String run, boolean checkpoints, int roundings) {
    Golden golden = Golden.open("align/trajectory");
    JsonObject expected = TinyTraining.value(golden.values(), run).getAsJsonObject();
    try (TinyTraining tiny = TinyTraining.align(backend, LayerDropout.NONE, checkpoints);
        Optimizer optimizer = optimizer(tiny, expected.get("lr").getAsDouble())) {
      if (run.startsWith("zero_up")) {
        for (TrainableParameter p : tiny.model.parameters()) {
          if (p.name().endsWith("lora_up.weight")) {
            optimizer.assign(p.value(), new float[Math.toIntExact(p.shape().size())]);
          }
        }
      }
      for (int i = 0; i < 5; i++) {
        assertThat(differentiate(tiny, golden, optimizer, i, 1))
            .as("loss of step " + i)
            .isCloseTo(expected.getAsJsonArray("losses").get(i).getAsDouble(), within(1e-5));
        double norm = optimizer.norm();
        double wanted = expected.getAsJsonArray("grad_norms").get(i).getAsDouble();
        assertThat(norm).as("norm of step " + i).isCloseTo(wanted, within(1e-3 * wanted));
        optimizer.step(norm, i);
      }
      // Where a gradient is nearly zero, Adam turns rounding into steps: the reference itself is
      // this far from a run in f64.
      double rounding = expected.get("float64_max_abs_diff_of_final").getAsDouble();
      double after =
          GradientChecks.values(
              golden,
              run.equals("lr_1e-3") ? "final:" : null,
              expected.getAsJsonObject("final_digests"),
              tiny.parameters(),
              Math.max(1e-5, roundings * rounding));
      LOG.info("{}: after five steps {}", run, after);
    }
  }

  @Test
  void fourLevels() {
    Golden golden = Golden.open("align/full_structure");
    try (TinyTraining tiny =
            new TinyTraining("unet", "s28750_lora_vis.pt", LayerDropout.NONE, true, false);
        Optimizer optimizer = optimizer(tiny, 3e-5)) {
      assertThat(differentiate(tiny, golden, optimizer, 0, 1))
          .isCloseTo(TinyTraining.number(golden, "loss"), within(1e-5));
      double gradients = GradientChecks.gradients(golden, optimizer.gradients());
      double norm = optimizer.norm();
      LOG.info("full_structure: gradients {}, norm {}", gradients, norm);
      double expected = TinyTraining.number(golden, "grad_norm");
      assertThat(norm).isCloseTo(expected, within(1e-3 * expected));
    }
  }

  /** Recorded masks, in the reference's layout. */
  private record Masks(Golden golden) implements LayerDropout {
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
}
