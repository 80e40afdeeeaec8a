package dev.longalign.tensor;

import dev.longalign.LongAlignException;
import dev.longalign.autograd.AutogradBackend;
import dev.longalign.autograd.Gradients;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** Derivatives, against those of the reference; only for backends that train. */
interface GradientContract extends Contract {

  @TestFactory
  default Stream<DynamicTest> gradients() {
    return GradientCase.all().flatMap(c -> TYPES.stream().map(type -> gradient(c, type)));
  }

  /** Of halves twice as much as for results: inner values are rounded here and not there. */
  static Tolerance tolerance(DType type) {
    Tolerance once = Tolerance.of(type);
    return type == DType.F32 ? once : Tolerance.relative(2 * once.relative());
  }

  /** Skips the test for a backend that says that it does not train. */
  static void assumeTraining(Backend backend) {
    try {
      backend.training();
      backend.gradients();
    } catch (LongAlignException e) {
      Assumptions.abort(e.getMessage());
    }
  }

  private DynamicTest gradient(GradientCase c, DType type) {
    String title = "gradient of " + type + " " + c.name();
    return DynamicTest.dynamicTest(
        title,
        () -> {
          assumeTraining(backend());
          Assumptions.assumeTrue(
              backend().supports(type), () -> backend().name() + " does not compute in " + type);
          long live = backend().memory().live();
          Tolerance tolerance = tolerance(type);
          try (ReferenceBackend reference = new ReferenceBackend();
              TensorScope scope = TensorScope.open()) {
            List<Tensor> expected = run(reference, type, false, c);
            for (boolean views : new boolean[] {false, true}) {
              List<Tensor> actual = run(backend(), type, views, c);
              for (int i = 0; i < expected.size(); i++) {
                String of = i == 0 ? ", result" : ", variable " + (i - 1);
                String what = title + (views ? ", views as operands" : "") + of;
                tolerance.check(what, expected.get(i), actual.get(i));
              }
            }
          }
          if (backend().memory().live() != live) {
            throw new AssertionError(
                title + ": " + (backend().memory().live() - live) + " bytes are still live");
          }
        });
  }

  /** The result and its gradients. */
  private static List<Tensor> run(Backend backend, DType type, boolean views, GradientCase c) {
    AutogradBackend autograd = new AutogradBackend(backend, false);
    GradientCase.Variables variables = new GradientCase.Variables(autograd);
    Tensor y = c.forward().of(new Inputs(autograd, type, views, c.name().hashCode()), variables);
    Gradients gradients = autograd.backward(y, direction(autograd, y));
    List<Tensor> results = new ArrayList<>(List.of(y));
    variables.all().forEach(variable -> results.add(gradients.of(variable)));
    return results;
  }

  @TestFactory
  default Stream<DynamicTest> adamW() {
    return Stream.of(1, 33, 5000).map(size -> adamW(size));
  }

  private DynamicTest adamW(int size) {
    return DynamicTest.dynamicTest(
        "three steps of AdamW on " + size,
        () -> {
          assumeTraining(backend());
          try (ReferenceBackend reference = new ReferenceBackend();
              TensorScope scope = TensorScope.open()) {
            List<Tensor> expected = threeSteps(new Inputs(reference, DType.F32, false, size), size);
            for (boolean views : new boolean[] {false, true}) {
              List<Tensor> actual = threeSteps(new Inputs(backend(), DType.F32, views, size), size);
              for (int i = 0; i < expected.size(); i++) {
                Tolerance.relative(1e-6)
                    .check("AdamW, tensor " + i, expected.get(i), actual.get(i));
              }
            }
          }
        });
  }

  private static List<Tensor> threeSteps(Inputs in, int size) {
    Tensor parameter = in.normal(size);
    Tensor first = in.around(0, 0, size);
    Tensor second = in.around(0, 0, size);
    Tensor sum = in.normal(size);
    float[] norms = new float[3];
    for (int step = 1; step <= 3; step++) {
      Tensor gradient = in.around(0, Math.pow(10, -step), size);
      double norm = AdamW.norm(List.of(gradient, gradient));
      norms[step - 1] = (float) norm;
      new AdamW(1e-2, 0.9, 0.999, 1e-8, 1e-2, step, AdamW.clipScale(norm, 0.3))
          .step(parameter, gradient, first, second);
      in.backend().training().accumulate(sum, 0.5f, gradient);
    }
    return List.of(parameter, first, second, sum, Tensor.of(in.backend(), Shape.of(3), norms));
  }

  /** A random gradient of the result. */
  static Tensor direction(Backend backend, Tensor y) {
    Random random = new Random(5);
    float[] dy = new float[Math.toIntExact(y.shape().size())];
    for (int i = 0; i < dy.length; i++) {
      dy[i] = (float) random.nextGaussian();
    }
    return Tensor.of(backend, y.shape(), dy).cast(y.dtype());
  }
}
