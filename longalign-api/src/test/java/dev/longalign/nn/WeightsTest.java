package dev.longalign.nn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFiles;
import dev.longalign.tensor.Activation;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Epilogue;
import dev.longalign.tensor.ReferenceBackend;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import dev.longalign.tensor.Tolerance;
import java.nio.ByteBuffer;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class WeightsTest {
  private final Backend backend = new ReferenceBackend();

  @AfterEach
  void close() {
    assertThat(backend.memory().live()).as("bytes that no scope freed").isZero();
    backend.close();
  }

  private record Model(FeedForward ff, TensorScope owner) {}

  private static Model model(Weights weights, TensorScope owner) {
    return new Model(new FeedForward(weights.at("blocks", 3).at("ff"), 6, 5), owner);
  }

  @Test
  void declaresLayersInOrderWithoutAnyWeight() {
    List<LayerSpec> layers = Weights.declare(weights -> model(weights, null));
    assertThat(layers)
        .extracting(LayerSpec::path)
        .containsExactly("blocks.3.ff.net.0.proj", "blocks.3.ff.net.2");
    assertThat(layers)
        .extracting(LayerSpec::weight)
        .containsExactly(Shape.of(48, 6), Shape.of(5, 24));
    assertThat(layers).extracting(LayerSpec::loraTarget).containsExactly(true, false);
    assertThat(LayerSpec.parameters(layers))
        .extracting(Parameter::name)
        .containsExactly(
            "blocks.3.ff.net.0.proj.weight", "blocks.3.ff.net.0.proj.bias",
            "blocks.3.ff.net.2.weight", "blocks.3.ff.net.2.bias");
  }

  /**
   * W x + b + residual, activated before the residual, whether the branch splits the fused call or
   * not.
   */
  @ParameterizedTest
  @EnumSource(Activation.class)
  void aBranchJoinsBeforeTheActivation(Activation activation) {
    LayerBranches twice = (layer, b, dtype, owner) -> (base, x) -> base.add(base);
    try (TensorScope scope = TensorScope.open()) {
      Tensor x = Tensor.of(backend, Shape.of(2, 3), 1, -2, 3, -4, 5, -6);
      Tensor residual = Tensor.of(backend, Shape.of(2, 4), 1, 2, 3, 4, 5, 6, 7, 8);
      Epilogue epilogue = new Epilogue(activation, null, residual);
      Tensor plain = linear(LayerBranches.NONE, x, Epilogue.NONE);
      Tensor expected =
          activation == Activation.NONE
              ? plain.add(residual).scale(2)
              : plain.scale(2).activation(activation).add(residual);
      Tolerance.relative(1e-6).check("branch", expected, linear(twice, x, epilogue));
    }
  }

  private Tensor linear(LayerBranches branches, Tensor x, Epilogue epilogue) {
    record One(Linear linear, TensorScope owner) {}
    One one =
        Weights.load(
            new RandomWeights(5),
            backend,
            DType.F32,
            branches,
            (weights, owner) -> new One(new Linear(weights.at("a"), 3, 4, true), owner));
    try (TensorScope owner = one.owner()) {
      return one.linear().forward(x, epilogue);
    }
  }

  @Test
  void freesWhatWasLoadedWhenLoadingFails() {
    assertThatThrownBy(
            () ->
                Weights.load(
                    new RandomWeights(1),
                    backend,
                    DType.F32,
                    LayerBranches.NONE,
                    (weights, owner) -> {
                      new Linear(weights.at("first"), 4, 4, true);
                      if (owner != null) {
                        throw new IllegalStateException("the second layer fails");
                      }
                      return "declared";
                    }))
        .isInstanceOf(IllegalStateException.class);
    assertThat(backend.memory().live()).isZero();
  }

  @Test
  void randomWeightsAreReproducibleAndScaledAsTorchScalesThem() {
    try (TensorScope scope = TensorScope.open()) {
      Parameter weight = new Parameter("a.weight", Shape.of(50, 100), 100);
      float[] values = new RandomWeights(7).load(backend, weight).toFloats();
      assertThat(new RandomWeights(7).load(backend, weight).toFloats()).isEqualTo(values);
      assertThat(new RandomWeights(8).load(backend, weight).toFloats()).isNotEqualTo(values);
      double sum = 0;
      double squares = 0;
      float max = 0;
      for (float value : values) {
        sum += value;
        squares += value * value;
        max = Math.max(max, Math.abs(value));
      }
      assertThat(max).isBetween(0.0999f, 0.1f);
      assertThat(Math.abs(sum / values.length)).isLessThan(0.003);
      assertThat(Math.sqrt(squares / values.length)).isBetween(0.0565, 0.0590); // 0.1 / sqrt(3)
      Parameter scale = new Parameter("norm.weight", Shape.of(3), 0);
      Parameter shift = new Parameter("norm.bias", Shape.of(3), 0);
      assertThat(new RandomWeights(7).load(backend, scale).toFloats()).containsOnly(1);
      assertThat(new RandomWeights(7).load(backend, shift).toFloats()).containsOnly(0);
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = DType.class,
      names = {"F64", "F32", "F16", "BF16"})
  void findsEveryNumberThatIsNotFinite(DType dtype) {
    for (int length : new int[] {1, 3, 4, 9, 4096 * 4 + 5}) {
      float[] values = new float[length];
      for (int i = 0; i < length; i++) {
        values[i] = (i % 7 - 3) * 20_000f; // near the largest half
      }
      assertThatCode(() -> FiniteCheck.check(stored(dtype, values))).doesNotThrowAnyException();
      for (float bad : new float[] {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY}) {
        for (int at : new int[] {0, length / 2, length - 1}) {
          float[] poisoned = values.clone();
          poisoned[at] = bad;
          assertThatThrownBy(() -> FiniteCheck.check(stored(dtype, poisoned)))
              .isInstanceOf(LongAlignException.class)
              .hasMessageContaining("x in memory")
              .hasMessageContaining("element " + at + ")");
        }
      }
    }
  }

  private static StoredTensor stored(DType dtype, float[] values) {
    return StoredTensor.ofFloats("x", dtype, Shape.of(values.length), values);
  }

  @Test
  void integersAreNoWeights() {
    StoredTensor ints =
        StoredTensor.of("a.weight", DType.I8, Shape.of(2, 2), ByteBuffer.allocate(4));
    FileWeights source = new FileWeights(TensorFiles.of("memory", List.of(ints)));
    assertThatThrownBy(() -> source.check(List.of(new Parameter("a.weight", Shape.of(2, 2), 2))))
        .hasMessageContaining("a.weight in memory: expected a floating point type, found I8");
  }
}
