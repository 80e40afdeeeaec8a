package dev.longalign.training;

import static org.assertj.core.api.Assertions.assertThat;

import dev.longalign.autograd.Gradients;
import dev.longalign.model.TrainableParameter;
import dev.longalign.random.RandomTensors;
import dev.longalign.random.TorchGenerator;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.OperationCost;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.TensorScope;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What a step must not compute or keep. */
class TrainingCostTest {
  private static final Logger LOG = LoggerFactory.getLogger(TrainingCostTest.class);
  private static final Shape LATENTS = Shape.of(1, 48, 48, 4);
  private static final Golden GOLDEN = Golden.open("align/full_structure");

  /** On a picture that is large beside the model's weights. */
  private static Loss loss(TinyTraining tiny) {
    AlignObjective<Object> objective =
        new AlignObjective<>(
            tiny.unet,
            tiny.adapter::forward,
            tiny.schedule,
            null,
            new AlignObjective.Settings(0, 0));
    return objective.loss(
        new StepInputs(
            List.of("golden"),
            Map.of(
                "latents", RandomTensors.randn(tiny.autograd, new TorchGenerator(1), LATENTS),
                "noise", RandomTensors.randn(tiny.autograd, new TorchGenerator(2), LATENTS),
                "clip", GOLDEN.tensor(tiny.autograd, "clip"),
                "t5", GOLDEN.tensor(tiny.autograd, "t5")),
            Map.of(
                "timesteps",
                TinyTraining.ints(
                    TinyTraining.value(GOLDEN.values(), "timesteps").getAsJsonArray().get(0)))));
  }

  /**
   * As many products for gradients of weights as there are trained weights: frozen ones get none.
   */
  @Test
  void frozenWeightsGetNoGradient() {
    try (TinyTraining tiny = TinyTraining.fourLevels(true);
        TensorScope scope = TensorScope.open()) {
      Gradients gradients = loss(tiny).backward(tiny.autograd, 1);
      List<TrainableParameter> trained = tiny.model.parameters();
      assertThat(trained).allMatch(p -> gradients.has(p.value()));
      assertThat(gradients.size()).isEqualTo(trained.size());
      Map<String, OperationCost> costs = tiny.backend.costs();
      assertThat(costs.get("conv2d weight gradient").calls())
          .isEqualTo(trained.stream().filter(p -> p.value().shape().rank() == 4).count())
          .isPositive();
      assertThat(costs.get("matmul gradient").calls())
          .isEqualTo(trained.stream().filter(p -> p.value().shape().rank() == 2).count())
          .isPositive();
    }
  }

  /** Checkpoints trade memory for a second forward pass, and nothing else. */
  @Test
  void checkpointsTakeLessMemory() {
    long[] peaks = new long[2];
    double[] losses = new double[2];
    for (int i = 0; i < 2; i++) {
      try (TinyTraining tiny = TinyTraining.fourLevels(i == 1)) {
        step(tiny); // packs weights in the layouts of both directions
        tiny.backend.resetPeakMemory();
        long before = tiny.backend.memory().live();
        losses[i] = step(tiny);
        peaks[i] = tiny.backend.memory().peak() - before;
      }
    }
    LOG.info("peak {} bytes, with checkpoints {}", peaks[0], peaks[1]);
    assertThat(losses[1]).isEqualTo(losses[0]);
    assertThat(peaks[1]).isPositive().isLessThan(peaks[0] * 2 / 3);
  }

  private static double step(TinyTraining tiny) {
    try (TensorScope scope = TensorScope.open()) {
      Loss loss = loss(tiny);
      loss.backward(tiny.autograd, 1);
      return loss.value();
    }
  }
}
