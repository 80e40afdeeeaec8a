package dev.longalign.autograd;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.longalign.LongAlignException;
import dev.longalign.nn.RandomDropout;
import dev.longalign.tensor.Activation;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.LinearWeight;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import dev.longalign.tensor.cpu.CpuBackend;
import java.util.Random;
import java.util.function.Function;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What is recorded, what is kept and for how long, and what is refused. */
class AutogradBackendTest {
  private final Backend cpu = new CpuBackend(1);
  private final AutogradBackend autograd = new AutogradBackend(cpu, true);

  @AfterEach
  void nothingIsLeft() {
    assertThat(cpu.memory().live()).as("bytes that no scope freed").isZero();
    autograd.close();
  }

  private Tensor random(long seed, long... dims) {
    Random random = new Random(seed);
    float[] values = new float[Math.toIntExact(Shape.of(dims).size())];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return Tensor.of(autograd, Shape.of(dims), values);
  }

  @Test
  void byHand() {
    try (TensorScope scope = TensorScope.open()) {
      Tensor x = autograd.variable(Tensor.of(autograd, Shape.of(3), 1, 2, 3));
      Tensor y = x.multiply(x).add(x.scale(2)).sum(); // x^2 + 2 x
      assertThat(autograd.backward(y).of(x).toFloats()).containsExactly(4, 6, 8);
    }
  }

  @Test
  void constantsAreNotRecordedAndKeepNothing() {
    try (TensorScope scope = TensorScope.open()) {
      Tensor x = random(1, 64, 64);
      long live = cpu.memory().live();
      try (TensorScope inner = TensorScope.open()) {
        Tensor y = x.activation(Activation.SILU).multiply(x);
        assertThat(autograd.leadsFromVariable(y)).isFalse();
        inner.keep(y);
      }
      assertThat(cpu.memory().live()).isEqualTo(live + 64 * 64 * 4);
      assertThatThrownBy(() -> autograd.backward(x.sum()))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("no variable leads to");
    }
  }

  /** A frozen linear layer keeps nothing; an activation keeps its input and nothing else. */
  @Test
  void onlyWhatADerivativeNeedsIsKept() {
    try (TensorScope scope = TensorScope.open()) {
      LinearWeight weight = autograd.packLinear(random(2, 256, 256), null, DType.F32);
      Tensor x = autograd.variable(random(1, 256, 256));
      x.linear(weight); // packs the weight
      long live = cpu.memory().live();
      long size = 256 * 256 * 4;
      Tensor y;
      try (TensorScope inner = TensorScope.open()) {
        y = inner.keep(x.linear(weight).linear(weight).activation(Activation.GELU).linear(weight));
      }
      assertThat(cpu.memory().live()).isEqualTo(live + 2 * size);
      autograd.backward(y, y);
      long twin = size;
      assertThat(cpu.memory().live()).isEqualTo(live + size + size + twin);
    }
  }

  @Test
  void whatNothingLeadsToIsFreedAtOnce() {
    try (TensorScope scope = TensorScope.open()) {
      Tensor x = autograd.variable(random(1, 64, 64));
      long live = cpu.memory().live();
      try (TensorScope inner = TensorScope.open()) {
        Tensor y = x;
        for (int i = 0; i < 5_000; i++) { // deep: freeing must not recurse
          y = y.scale(1.0001f);
          y = i % 100 == 0 ? y.activation(Activation.SILU) : y;
        }
        assertThat(autograd.leadsFromVariable(y)).isTrue();
      }
      assertThat(cpu.memory().live()).isEqualTo(live);
    }
  }

  @Test
  void pausedNothingIsRecorded() {
    try (TensorScope scope = TensorScope.open()) {
      Tensor x = autograd.variable(random(1, 4, 4));
      try (AutogradBackend.NoGradient off = autograd.noGradient()) {
        assertThat(autograd.leadsFromVariable(x.scale(2))).isFalse();
      }
      assertThat(autograd.leadsFromVariable(x.scale(2))).isTrue();
      assertThat(autograd.leadsFromVariable(autograd.detach(x).scale(2))).isFalse();
    }
  }

  @Test
  void aGraphServesOnce() {
    try (TensorScope scope = TensorScope.open()) {
      Tensor x = autograd.variable(random(1, 4, 4));
      Tensor y = x.activation(Activation.SILU);
      Tensor loss = y.sum();
      autograd.backward(loss);
      assertThatThrownBy(() -> autograd.backward(y, y))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("gone through before");
    }
  }

  @Test
  void refusals() {
    try (TensorScope scope = TensorScope.open()) {
      Tensor x = autograd.variable(random(1, 4, 4));
      assertThatThrownBy(() -> autograd.backward(x.scale(2))).hasMessageContaining("a scalar");
      assertThatThrownBy(() -> autograd.packLinear(x, null, DType.F32))
          .hasMessageContaining("detach()");
      assertThatThrownBy(autograd::gradients).hasMessageContaining("second derivatives");
      Gradients gradients = autograd.backward(x.sum());
      Tensor other = autograd.variable(random(2, 3));
      assertThat(gradients.has(other)).isFalse();
      assertThatThrownBy(() -> gradients.of(other)).hasMessageContaining("took no part");
      assertThatThrownBy(() -> x.linear(random(1, 3, 5), null)).hasMessageContaining("linear");
      assertThatThrownBy(() -> x.slice(1, 2, 9)).hasMessageContaining("slice");
    }
  }

  /** Checkpoints change memory, not numbers: with dropout, and a variable inside the block only. */
  @Test
  void checkpointsChangeNoBit() {
    RandomDropout dropout = new RandomDropout(0.4f, 11);
    autograd.replay(dropout);
    try (TensorScope scope = TensorScope.open()) {
      Tensor x = random(1, 32, 16);
      Tensor w = autograd.variable(random(2, 16, 16));
      Function<Tensor[], Tensor> block =
          in -> {
            try (TensorScope inside = TensorScope.open()) {
              Tensor h = dropout.apply("h", in[0].linear(w, null).activation(Activation.SILU));
              return inside.keep(h.linear(w, null).add(in[0]));
            }
          };
      float[] plain = weightGradient(w, block.apply(args(block.apply(args(x)))));
      dropout.restore(0);
      float[] again = weightGradient(w, Checkpoint.run(block, Checkpoint.run(block, x)));
      assertThat(again).isEqualTo(plain);
      assertThat(dropout.state()).isEqualTo(2);
    }
  }

  private static Tensor[] args(Tensor... inputs) {
    return inputs;
  }

  private float[] weightGradient(Tensor w, Tensor y) {
    return autograd.backward(y.multiply(y).sum()).of(w).toFloats();
  }

  @Test
  void aCheckpointKeepsItsInputsOnly() {
    try (TensorScope scope = TensorScope.open()) {
      Tensor x = autograd.variable(random(1, 128, 128));
      long live = cpu.memory().live();
      Tensor y;
      try (TensorScope inner = TensorScope.open()) {
        Tensor h = x;
        for (int i = 0; i < 4; i++) {
          h =
              Checkpoint.run(
                  in ->
                      in[0]
                          .activation(Activation.GELU)
                          .activation(Activation.SILU)
                          .activation(Activation.GELU),
                  h);
        }
        y = inner.keep(h);
      }
      assertThat(cpu.memory().live()).isEqualTo(live + 4 * 128 * 128 * 4);
      autograd.backward(y, y);
    }
  }

  @Test
  void bf16ActivationsAndF32Parameters() {
    if (!cpu.supports(DType.BF16)) {
      return;
    }
    try (TensorScope scope = TensorScope.open()) {
      Tensor w = autograd.variable(random(1, 8, 16).scale(0.25f));
      Tensor x = random(2, 64, 16);
      Tensor narrow = autograd.backward(x.cast(DType.BF16).linear(w, null).sum()).of(w);
      Tensor wide = autograd.backward(x.linear(w, null).sum()).of(w);
      assertThat(narrow.dtype()).isEqualTo(DType.F32);
      assertThat(narrow.toFloats()).containsExactly(wide.toFloats(), within(0.1f));
    }
  }

  /** No finite difference shows this: a rounded value moves in steps. */
  @Test
  void aCastRoundsTheGradientAsItRoundsTheValue() {
    if (!cpu.supports(DType.BF16)) {
      return;
    }
    try (TensorScope scope = TensorScope.open()) {
      Tensor x = autograd.variable(random(1, 5, 7));
      Tensor dy = random(2, 5, 7);
      Tensor narrow = x.cast(DType.BF16);
      assertThat(narrow.dtype()).isEqualTo(DType.BF16);
      Tensor dx = autograd.backward(narrow.cast(DType.F32).scale(1), dy).of(x);
      assertThat(dx.dtype()).isEqualTo(DType.F32);
      assertThat(dx.toFloats()).isEqualTo(dy.cast(DType.BF16).toFloats());
      assertThat(dx.toFloats()).isNotEqualTo(dy.toFloats());
    }
  }

  @Test
  void dropoutKeepsTheExpectedShare() {
    try (TensorScope scope = TensorScope.open()) {
      float[] ones = new float[100_000];
      java.util.Arrays.fill(ones, 1);
      float[] y = Tensor.of(autograd, Shape.of(ones.length), ones).dropout(0.1f, 5).toFloats();
      double kept = 0;
      for (float value : y) {
        assertThat(value == 0 || Math.abs(value - 1 / 0.9f) < 1e-6f).isTrue();
        kept += value == 0 ? 0 : 1;
      }
      // 4.5 standard deviations
      assertThat(kept / y.length).isCloseTo(0.9, within(0.0045));
      double neighbours = 0;
      for (int i = 1; i < y.length; i++) {
        neighbours += y[i] != 0 && y[i - 1] != 0 ? 1 : 0;
      }
      assertThat(neighbours / y.length).as("both of two").isCloseTo(0.81, within(0.008));
      float[] other = Tensor.of(autograd, Shape.of(ones.length), ones).dropout(0.1f, 6).toFloats();
      double both = 0;
      for (int i = 0; i < y.length; i++) {
        both += y[i] != 0 && other[i] != 0 ? 1 : 0;
      }
      assertThat(both / y.length).as("kept by two keys").isCloseTo(0.81, within(0.008));
    }
  }
}
