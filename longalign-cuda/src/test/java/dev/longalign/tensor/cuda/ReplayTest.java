package dev.longalign.tensor.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.Activation;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Device;
import dev.longalign.tensor.Epilogue;
import dev.longalign.tensor.LinearWeight;
import dev.longalign.tensor.OperationCost;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorFunction;
import dev.longalign.tensor.TensorScope;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;

/**
 * Functions that are captured as CUDA graphs: the first call runs as written, later ones replay.
 */
@EnabledIf(value = Emulator.IS_BUILT, disabledReason = Emulator.MISSING)
class ReplayTest {
  private static final int WIDTH = 16;

  private Backend backend;
  private TensorScope model;
  private LinearWeight weight;

  @BeforeEach
  void open() {
    Emulator.require();
    backend = Device.cuda(0).open(0);
    model = TensorScope.open();
    weight = backend.packLinear(values(1, WIDTH, WIDTH), values(2, WIDTH), DType.F32);
  }

  @AfterEach
  void close() {
    if (backend != null) {
      model.close();
      assertThat(backend.memory().live()).as("bytes that no scope freed").isZero();
      backend.close();
    }
  }

  private Tensor values(int seed, long... dims) {
    Shape shape = Shape.of(dims);
    float[] values = new float[Math.toIntExact(shape.size())];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) Math.sin(seed + 0.7 * i);
    }
    return Tensor.of(backend, shape, values);
  }

  private Tensor block(Tensor... x) {
    try (TensorScope scope = TensorScope.open()) {
      Tensor h = x[0].linear(weight, Epilogue.activation(Activation.SILU));
      Tensor both = Tensor.concat(0, h, x[1]).layerNorm(ones(), ones(), 1e-5f);
      return scope.keep(both.rows(0, x[0].dim(0)).add(h));
    }
  }

  private Tensor ones() {
    return backend.zeros(DType.F32, Shape.of(WIDTH)).activation(Activation.SILU);
  }

  private long replays() {
    OperationCost cost = backend.costs().get("replay");
    return cost == null ? 0 : cost.calls();
  }

  @Test
  void resultsAreThoseOfTheFunctionBitForBit() {
    try (TensorScope scope = TensorScope.open()) {
      TensorFunction function = backend.repeated(this::block);
      List<Tensor> results = new ArrayList<>();
      List<float[]> expected = new ArrayList<>();
      for (int call = 0; call < 8; call++) {
        int rows = call % 4 == 3 ? 5 : 3; // another shape now and then
        Tensor x = values(10 + call, rows, WIDTH);
        Tensor y = values(50 + call, 2, WIDTH);
        expected.add(block(x, y).toFloats());
        results.add(function.apply(x, y));
      }
      for (int call = 0; call < 8; call++) {
        assertThat(results.get(call).toFloats()).as("call %d", call).isEqualTo(expected.get(call));
      }
      assertThat(replays()).as("all but the first of each shape").isEqualTo(6);
      assertThat(backend.costs().get("replay").flops())
          .as("products count")
          .isEqualTo(2.0 * WIDTH * WIDTH * (5 * 3 + 5));
    }
  }

  @Test
  void functionsShareTheArenaAndNobodyElsesMemory() {
    try (TensorScope scope = TensorScope.open()) {
      TensorFunction one = backend.repeated(this::block);
      TensorFunction two = backend.repeated(x -> block(x[1].scale(2), x[0].clamp(-1, 1)));
      for (int call = 0; call < 4; call++) {
        Tensor x = values(call, 4, WIDTH);
        Tensor y = values(call + 9, 4, WIDTH);
        Tensor bystander = x.scale(3);
        Tensor first = one.apply(x, y);
        Tensor second = two.apply(first, y);
        Tensor third = one.apply(second, first);
        assertThat(bystander.toFloats()).isEqualTo(x.scale(3).toFloats());
        assertThat(first.toFloats()).isEqualTo(block(x, y).toFloats());
        assertThat(second.toFloats()).isEqualTo(block(y.scale(2), first.clamp(-1, 1)).toFloats());
        assertThat(third.toFloats()).isEqualTo(block(second, first).toFloats());
      }
      assertThat(replays())
          .as("all but the very first call: its signature is known then")
          .isEqualTo(11);
    }
  }

  @Test
  void whatCannotBeCapturedRunsAsWrittenAndSaysSo() {
    PrintStream console = System.err;
    ByteArrayOutputStream told = new ByteArrayOutputStream();
    System.setErr(new PrintStream(told, true, StandardCharsets.UTF_8));
    try (TensorScope scope = TensorScope.open()) {
      TensorFunction function =
          backend.repeated(x -> x[0].add(Tensor.of(backend, x[0].shape(), new float[] {1, 2, 3})));
      for (int call = 0; call < 4; call++) {
        Tensor x = Tensor.of(backend, Shape.of(3), new float[] {call, 0, 0});
        assertThat(function.apply(x).toFloats()).containsExactly(call + 1, 2, 3);
      }
      assertThat(replays()).isZero();
    } finally {
      System.setErr(console);
    }
    assertThat(told.toString(StandardCharsets.UTF_8))
        .contains("cannot be captured as a CUDA graph", "CUDA_ERROR_STREAM_CAPTURE")
        .containsOnlyOnce("runs without one");
  }

  @Test
  void anExceptionOfTheFunctionLeavesTheStreamUsable() {
    try (TensorScope scope = TensorScope.open()) {
      int[] calls = {0};
      TensorFunction function =
          backend.repeated(
              x -> {
                if (++calls[0] == 2) {
                  throw new IllegalStateException("second call");
                }
                return x[0].scale(2);
              });
      Tensor x = values(1, 4);
      assertThat(function.apply(x).toFloats()).isEqualTo(x.scale(2).toFloats());
      assertThatThrownBy(() -> function.apply(x)).hasMessage("second call");
      assertThat(function.apply(x).toFloats()).isEqualTo(x.scale(2).toFloats());
      assertThat(replays()).isEqualTo(1);
    }
  }

  @Test
  void aGraphDiesWithItsScope() {
    TensorFunction function;
    long before = backend.memory().live();
    try (TensorScope scope = TensorScope.open()) {
      function = backend.repeated(x -> x[0].scale(2).scale(3));
      for (int call = 0; call < 3; call++) {
        function.apply(values(call, 4));
      }
    }
    assertThat(backend.memory().live()).isEqualTo(before);
    try (TensorScope scope = TensorScope.open()) {
      Tensor x = values(1, 4);
      assertThatThrownBy(() -> function.apply(x))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("TensorScope that is closed");
    }
  }

  /** Plain, captured, and captured anew each time: after the first ones no memory is taken. */
  @Test
  void aThousandStepsTakeNoMoreMemoryThanThirty() {
    try (TensorScope scope = TensorScope.open()) {
      TensorFunction function = backend.repeated(operands -> operands[0].linear(weight).scale(2));
      Tensor x = values(1, 3, WIDTH);
      long[] afterThirty = new long[2];
      for (int step = 0; step < 1000; step++) {
        try (TensorScope one = TensorScope.open()) {
          function.apply(x);
          if (step % 20 == 0) {
            block(x, x);
          } else if (step % 20 == 1) {
            TensorFunction passing = backend.repeated(this::block);
            passing.apply(x, x);
            passing.apply(x, x);
          }
        }
        if (step == 29) {
          afterThirty = held();
        }
      }
      assertThat(held()).isEqualTo(afterThirty);
    }
  }

  private long[] held() {
    long[] unused = new long[1];
    jcuda.driver.JCudaDriver.cuMemGetInfo(unused, new long[1]);
    return new long[] {unused[0], backend.memory().live() + backend.memory().cached()};
  }
}
