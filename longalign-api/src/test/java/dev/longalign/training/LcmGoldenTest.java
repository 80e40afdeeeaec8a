package dev.longalign.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.longalign.scheduler.PredictionType;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.TensorScope;
import dev.longalign.tensor.cpu.CpuBackend;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Stage 2 against the reference. */
class LcmGoldenTest {
  private static final Logger LOG = LoggerFactory.getLogger(LcmGoldenTest.class);

  @ParameterizedTest
  @EnumSource(
      value = PredictionType.class,
      names = {"EPSILON", "V_PREDICTION"})
  void oneStep(PredictionType type) {
    oneStep(new CpuBackend(1), type);
  }

  /** The loss, every gradient, their norm and the parameters after a step; closes the backend. */
  static void oneStep(Backend backend, PredictionType type) {
    Golden golden = Golden.open("lcm/" + type.name().toLowerCase(java.util.Locale.ROOT));
    Golden stored = Golden.open("lcm/epsilon");
    LcmObjective.Settings settings = new LcmObjective.Settings(type, 7.5f, 50, 10, 1e-3f);
    try (TinyTraining tiny = TinyTraining.lcm(backend);
        Optimizer optimizer =
            new Optimizer(
                tiny.autograd,
                tiny.model.parameters(),
                TrainerSettings.DEFAULT.withLearningRate(3e-5, 0))) {
      try (TensorScope scope = TensorScope.open()) {
        Loss loss = loss(golden, stored, tiny, settings);
        assertThat(loss.value()).isCloseTo(TinyTraining.number(golden, "loss"), within(1e-5));
        optimizer.add(loss.backward(tiny.autograd, 1));
      }
      double gradients = GradientChecks.gradients(golden, optimizer.gradients());
      double norm = optimizer.norm();
      LOG.info("{}: gradients {}, norm {}", type, gradients, norm);
      double expected = TinyTraining.number(golden, "grad_norm");
      assertThat(norm).isCloseTo(expected, within(1e-3 * expected));
      if (golden.values().has("after_digests")) {
        optimizer.step(norm, 0);
        GradientChecks.values(
            golden,
            "after:",
            GradientChecks.digests(golden.values(), "after_digests", "digests"),
            tiny.parameters(),
            1e-5);
      }
    }
  }

  static Loss loss(
      Golden golden, Golden stored, TinyTraining tiny, LcmObjective.Settings settings) {
    return new LcmObjective<>(
            tiny.autograd,
            tiny.unet,
            tiny.teacher,
            UnaryOperator.identity(),
            tiny.schedule,
            null,
            settings)
        .loss(
            new StepInputs(
                List.of("golden"),
                Map.of(
                    "latents", stored.nhwc(tiny.autograd, "latents"),
                    "noise", stored.nhwc(tiny.autograd, "noise"),
                    "context", stored.tensor(tiny.autograd, "context"),
                    "unconditional", stored.tensor(tiny.autograd, "unconditional")),
                Map.of(
                    "timesteps",
                    TinyTraining.ints(TinyTraining.value(golden.values(), "start_timesteps")))));
  }
}
