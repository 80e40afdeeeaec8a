package dev.longalign.tensor.cuda;

import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Conv2dGeometry;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Device;
import dev.longalign.tensor.GradientOps;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import dev.longalign.tensor.Tolerance;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Derivatives in f16, in which not every backend computes: against those in f32, which the contract
 * of all backends covers.
 */
@EnabledIf(value = Emulator.IS_BUILT, disabledReason = Emulator.MISSING)
class CudaF16GradientTest {
  private static final Tolerance TOLERANCE = Tolerance.relative(5e-3);

  private final Random random = new Random(11);
  private Backend backend;
  private TensorScope scope;

  @BeforeEach
  void open() {
    Emulator.require();
    backend = Device.cuda(0).open(0);
    scope = TensorScope.open();
  }

  @AfterEach
  void close() {
    if (scope != null) {
      scope.close();
      backend.close();
    }
  }

  private interface Operation {
    Tensor[] of(DType dtype, Tensor... operands);
  }

  private Tensor normal(long... dims) {
    Shape shape = Shape.of(dims);
    float[] values = new float[Math.toIntExact(shape.size())];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return Tensor.of(backend, shape, values).cast(DType.F16);
  }

  /** On operands that f16 holds exactly. */
  private static void check(String what, Operation operation, Tensor... operands) {
    Tensor[] wide = new Tensor[operands.length];
    for (int i = 0; i < wide.length; i++) {
      wide[i] = operands[i].cast(DType.F32);
    }
    Tensor[] expected = operation.of(DType.F32, wide);
    Tensor[] actual = operation.of(DType.F16, operands);
    for (int i = 0; i < expected.length; i++) {
      TOLERANCE.check(what + ", gradient " + i, expected[i], actual[i].cast(expected[i].dtype()));
    }
  }

  @ParameterizedTest
  @CsvSource({"40, false", "40, true", "64, true", "80, false", "128, true", "160, false"})
  void attention(int size, boolean causal) {
    boolean[] wanted = {true, true, true};
    float scale = (float) (1 / Math.sqrt(size));
    int keys = causal ? 70 : 45;
    check(
        "attention with heads of " + size,
        (dtype, x) -> {
          GradientOps g = backend.gradients();
          return causal
              ? g.causalAttention(x[0], x[1], x[2], 2, scale, x[3], wanted)
              : g.attention(x[0], x[1], x[2], 2, scale, x[3], wanted);
        },
        normal(1, 70, 2 * size),
        normal(1, keys, 2 * size),
        normal(1, keys, 2 * size),
        normal(1, 70, 2 * size));
  }

  @Test
  void linear() {
    check(
        "linear",
        (dtype, x) -> {
          GradientOps g = backend.gradients();
          return new Tensor[] {
            g.linearInput(x[1], backend.packLinear(x[2], null, dtype)),
            g.matmulTransposedA(x[1], x[0], DType.F32)
          };
        },
        normal(70, 80),
        normal(70, 96),
        normal(96, 80));
  }

  @Test
  void geglu() {
    check(
        "geglu",
        (dtype, x) ->
            new Tensor[] {
              backend.gradients().geglu(x[0], backend.packGeglu(x[2], null, dtype), x[1])
            },
        normal(33, 16),
        normal(33, 24),
        normal(48, 16).scale(0.25f));
  }

  @Test
  void conv2d() {
    Conv2dGeometry g = Conv2dGeometry.of(16, 24, 3, 2, 1);
    check(
        "conv2d",
        (dtype, x) ->
            new Tensor[] {
              backend
                  .gradients()
                  .conv2dInput(x[1], backend.packConv2d(x[2], null, g, dtype), x[0].shape()),
              backend.gradients().conv2dWeight(x[0], x[1], g)
            },
        normal(2, 9, 7, 16),
        normal(2, 5, 4, 24),
        normal(24, 16, 3, 3));
  }
}
