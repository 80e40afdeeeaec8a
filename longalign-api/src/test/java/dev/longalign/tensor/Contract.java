package dev.longalign.tensor;

import java.util.List;
import java.util.Locale;
import java.util.function.Function;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.DynamicTest;

/**
 * What the parts of {@link BackendContractTest} share: one operation, run on the backend and on the
 * reference.
 */
interface Contract {
  List<DType> TYPES = List.of(DType.F32, DType.BF16, DType.F16);

  /** The backend under test. */
  Backend backend();

  /** The backend must agree with the reference within {@link Tolerance#of} the type. */
  default Stream<DynamicTest> agree(String name, Function<Inputs, Tensor> operation) {
    return TYPES.stream().map(type -> agree(name, type, Tolerance.of(type), operation));
  }

  /** For operations that only move elements. */
  default Stream<DynamicTest> agreeExactly(String name, Function<Inputs, Tensor> operation) {
    return TYPES.stream().map(type -> agree(name, type, Tolerance.EXACT, operation));
  }

  /**
   * Once with operands of their own, once with views into larger storages; nothing may stay
   * allocated.
   */
  default DynamicTest agree(
      String name, DType type, Tolerance tolerance, Function<Inputs, Tensor> operation) {
    String title = String.format(Locale.ROOT, "%s %s", type, name);
    return DynamicTest.dynamicTest(
        title,
        () -> {
          Assumptions.assumeTrue(
              backend().supports(type), () -> backend().name() + " does not compute in " + type);
          long live = backend().memory().live();
          try (ReferenceBackend reference = new ReferenceBackend();
              TensorScope scope = TensorScope.open()) {
            Tensor expected = operation.apply(new Inputs(reference, type, false, name.hashCode()));
            for (boolean views : new boolean[] {false, true}) {
              Tensor actual = operation.apply(new Inputs(backend(), type, views, name.hashCode()));
              tolerance.check(
                  backend().name() + ": " + title + (views ? ", views as operands" : ""),
                  expected,
                  actual);
            }
          }
          if (backend().memory().live() != live) {
            throw new AssertionError(
                title + ": " + (backend().memory().live() - live) + " bytes are still live");
          }
        });
  }
}
