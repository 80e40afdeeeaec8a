package dev.longalign.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.longalign.autograd.AutogradBackend;
import dev.longalign.autograd.Checkpoint;
import dev.longalign.autograd.Gradients;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/**
 * Every derivative against central differences, on the reference backend, which rounds once per
 * operation: single elements, and one random direction through all of them.
 */
class FiniteDifferenceTest {
  private static final int ELEMENTS = 6;
  private static final float STEP = 4e-3f;

  @TestFactory
  Stream<DynamicTest> derivatives() {
    return GradientCase.all().map(c -> DynamicTest.dynamicTest(c.name(), () -> check(c)));
  }

  private static void check(GradientCase c) {
    AutogradBackend autograd = new AutogradBackend(new ReferenceBackend(), false);
    Random random = new Random(3);
    try (TensorScope scope = TensorScope.open()) {
      GradientCase.Variables variables = new GradientCase.Variables(autograd);
      Tensor y = run(autograd, c, variables);
      Gradients gradients = autograd.backward(y, GradientContract.direction(autograd, y));
      List<Tensor> all = variables.all();
      checkpointed(c, gradients, all);
      double rounding = rounding(y) / STEP;
      for (int i = 0; i < all.size(); i++) {
        float[] gradient = gradients.of(all.get(i)).toFloats();
        double largest = 0;
        for (float g : gradient) {
          largest = Math.max(largest, Math.abs(g));
        }
        for (int n = 0; n < ELEMENTS; n++) {
          int at = random.nextInt(gradient.length);
          float[] step = new float[gradient.length];
          step[at] = STEP;
          check(c, autograd, i, step, gradient[at], 1e-3 * largest + rounding);
        }
        float[] step = new float[gradient.length];
        double along = 0;
        double squares = 0;
        for (int j = 0; j < step.length; j++) {
          double d = random.nextGaussian() / Math.sqrt(step.length);
          step[j] = (float) (STEP * d);
          along += gradient[j] * d;
          squares += gradient[j] * gradient[j] / step.length;
        }
        check(c, autograd, i, step, along, 1e-3 * Math.sqrt(squares) + rounding);
      }
    }
  }

  /** A block that is computed again in the backward pass gives the same, bit for bit. */
  private static void checkpointed(GradientCase c, Gradients expected, List<Tensor> variables) {
    AutogradBackend autograd = new AutogradBackend(new ReferenceBackend(), true);
    GradientCase.Variables again = new GradientCase.Variables(autograd);
    Tensor any = Tensor.zeros(autograd, DType.F32, Shape.of(1));
    Tensor y =
        Checkpoint.run(
            in -> {
              again.rewind();
              return run(autograd, c, again);
            },
            any);
    Gradients found = autograd.backward(y, GradientContract.direction(autograd, y));
    assertThat(again.all()).hasSameSizeAs(variables);
    for (int i = 0; i < variables.size(); i++) {
      assertThat(found.of(again.all().get(i)).toFloats())
          .as(c.name() + ", variable " + i + ", checkpointed")
          .isEqualTo(expected.of(variables.get(i)).toFloats());
    }
  }

  /** How far the sum of f32 results may be off: their rounding errors are independent. */
  private static double rounding(Tensor y) {
    double squares = 0;
    for (float value : y.toFloats()) {
      squares += (double) value * value;
    }
    return 3 * Math.ulp(1f) * Math.sqrt(squares + 1e-3);
  }

  private static void check(
      GradientCase c,
      AutogradBackend autograd,
      int variable,
      float[] step,
      double expected,
      double tolerance) {
    float[] back = new float[step.length];
    for (int i = 0; i < back.length; i++) {
      back[i] = -step[i];
    }
    double difference = value(c, autograd, variable, step) - value(c, autograd, variable, back);
    assertThat(difference / (2 * STEP))
        .as(c.name() + ", variable " + variable)
        .isCloseTo(expected, within(tolerance));
  }

  private static Tensor run(
      AutogradBackend autograd, GradientCase c, GradientCase.Variables variables) {
    Inputs inputs = new Inputs(autograd, DType.F32, false, c.name().hashCode());
    return c.forward().of(inputs, variables);
  }

  /** The result along its gradient, in double precision. */
  private static double value(GradientCase c, AutogradBackend autograd, int moved, float[] by) {
    try (TensorScope scope = TensorScope.open()) {
      Tensor y = run(autograd, c, new GradientCase.Variables(autograd, moved, by));
      float[] values = y.toFloats();
      float[] dy = GradientContract.direction(autograd, y).toFloats();
      double sum = 0;
      for (int i = 0; i < dy.length; i++) {
        sum += (double) values[i] * dy[i];
      }
      return sum;
    }
  }
}
