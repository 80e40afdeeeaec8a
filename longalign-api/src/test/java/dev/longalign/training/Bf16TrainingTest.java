package dev.longalign.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.withinPercentage;

import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Device;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.ToDoubleBiFunction;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Steps with the frozen UNet in bf16 and f32 masters, against the reference in f32: the loss to 2
 * %, the direction of the whole gradient to a cosine of 0.99.
 */
class Bf16TrainingTest {
  private static final Logger LOG = LoggerFactory.getLogger(Bf16TrainingTest.class);

  @Test
  void align() {
    check(
        Golden.open("align/one_step"),
        true,
        0.99,
        (tiny, optimizer) ->
            AlignGoldenTest.differentiate(tiny, Golden.open("align/one_step"), optimizer, 0, 1));
  }

  @Test
  void lcm() {
    Golden golden = Golden.open("lcm/epsilon");
    check(
        golden,
        false,
        0.98,
        (tiny, optimizer) -> {
          try (TensorScope scope = TensorScope.open()) {
            Loss loss = LcmGoldenTest.loss(golden, golden, tiny, LcmObjective.Settings.DEFAULT);
            optimizer.add(loss.backward(tiny.autograd, 1));
            return loss.value();
          }
        });
  }

  private static void check(
      Golden golden,
      boolean adapter,
      double least,
      ToDoubleBiFunction<TinyTraining, Optimizer> step) {
    try (Backend cpu = Device.cpu().open(1)) {
      Assumptions.assumeTrue(cpu.supports(DType.BF16), cpu.name() + " does not compute in BF16");
    }
    Map<String, float[]> first = gradients(golden, adapter, step);
    double dot = 0;
    double found = 0;
    double expected = 0;
    for (String name : golden.names()) {
      if (name.startsWith("grad:")) {
        float[] e = golden.floats(name);
        float[] f = first.get(name.substring("grad:".length()));
        for (int i = 0; i < e.length; i++) {
          dot += (double) e[i] * f[i];
          found += (double) f[i] * f[i];
          expected += (double) e[i] * e[i];
        }
      }
    }
    double cosine = dot / Math.sqrt(found * expected);
    LOG.info("bf16: cosine of the gradients {}", cosine);
    assertThat(expected).isPositive();
    assertThat(cosine).isGreaterThan(least);
    // And once more, to the bit.
    gradients(golden, adapter, step)
        .forEach((name, gradient) -> assertThat(gradient).as(name).isEqualTo(first.get(name)));
  }

  private static Map<String, float[]> gradients(
      Golden golden, boolean adapter, ToDoubleBiFunction<TinyTraining, Optimizer> step) {
    try (TinyTraining tiny = TinyTraining.bf16(adapter);
        Optimizer optimizer = AlignGoldenTest.optimizer(tiny, 3e-5)) {
      double loss = step.applyAsDouble(tiny, optimizer);
      double expected = TinyTraining.number(golden, "loss");
      LOG.info("bf16: loss {} for {}", loss, expected);
      assertThat(loss).isCloseTo(expected, withinPercentage(2));
      Map<String, float[]> gradients = new TreeMap<>();
      optimizer.gradients().forEach((name, x) -> gradients.put(name, floats(x)));
      optimizer.step(optimizer.norm(), 0);
      return gradients;
    }
  }

  private static float[] floats(Tensor x) {
    assertThat(x.dtype()).isEqualTo(DType.F32);
    return x.toFloats();
  }
}
