package dev.longalign.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import java.util.Arrays;
import java.util.function.Function;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/** What texts have in common, and the gradient of preference scores. */
interface PreferenceContract extends Contract {

  /** One text, one number, a batch of training, widths without vectors, more rows than a block. */
  @TestFactory
  default Stream<DynamicTest> reweight() {
    long[][] shapes = {{1, 1}, {1, 16}, {2, 3}, {8, 1024}, {9, 33}, {64, 20}, {65, 768}, {700, 37}};
    return Arrays.stream(shapes)
        .flatMap(
            dims ->
                Stream.of(0f, 0.3f, 1f)
                    .flatMap(
                        omega ->
                            parts(
                                "reweight " + Arrays.toString(dims) + ", omega " + omega,
                                in -> texts(in, dims).reweight(null, omega))));
  }

  @TestFactory
  default Stream<DynamicTest> reweightByAKnownDirection() {
    long[][] shapes = {{1, 5}, {8, 1024}, {70, 33}};
    return Arrays.stream(shapes)
        .flatMap(
            dims ->
                parts(
                    "reweight " + Arrays.toString(dims) + " by a known direction",
                    in ->
                        texts(in, dims)
                            .reweight(in.f32(0, 1 / Math.sqrt(dims[1]), dims[1]), 0.3f)));
  }

  /** Where nothing is common nothing can be told apart, and a NaN stays one. */
  @TestFactory
  default Stream<DynamicTest> reweightWithoutADirection() {
    return Stream.of(
            parts(
                "reweight of what sums to zero",
                in -> in.of(new float[] {1, -2, 3, -1, 2, -3}, 2, 3).reweight(null, 0.3f)),
            parts(
                "reweight of a NaN",
                in -> in.of(new float[] {1, Float.NaN, 3, 4}, 2, 2).reweight(null, 0.3f)),
            parts(
                "reweight of a NaN by a known direction",
                in ->
                    in.of(new float[] {1, Float.NaN, 3, 4}, 2, 2)
                        .reweight(in.f32(0.5, 0, 2), 0.3f)))
        .flatMap(s -> s);
  }

  /** As texts are: around a common direction. */
  private static Tensor texts(Inputs in, long... dims) {
    return in.around(0.5, 1, dims);
  }

  private Stream<DynamicTest> parts(String name, Function<Inputs, ReweightedTexts> operation) {
    return Stream.of(
            agree(name + ": direction", in -> operation.apply(in).direction()),
            agree(name + ": eta", in -> operation.apply(in).eta()),
            TYPES.stream()
                .map(
                    type ->
                        agree(
                            name + ": texts",
                            type,
                            ofTexts(type),
                            in -> operation.apply(in).texts())))
        .flatMap(s -> s);
  }

  /** Little is left of texts that have all in common; its error is one of the texts, about 1. */
  private static Tolerance ofTexts(DType type) {
    return new Tolerance(Tolerance.of(type).relative(), 1);
  }

  @TestFactory
  default Stream<DynamicTest> preferenceGradient() {
    long[][] shapes = {{0, 8}, {1, 1}, {1, 2}, {8, 1024}, {9, 33}, {70, 20}, {3, 1280}};
    return Arrays.stream(shapes)
        .flatMap(
            dims ->
                gradient(
                    "preferenceGradient " + Arrays.toString(dims),
                    in -> in.normal(dims).preferenceGradient(in.around(0.2, 12, dims))));
  }

  @TestFactory
  default Stream<DynamicTest> preferenceGradientOfAPictureWithoutFeatures() {
    float[] images = {0, 0, 3, 4, Float.NaN, 1};
    return gradient(
        "preferenceGradient of a zero and a NaN",
        in -> in.normal(3, 2).preferenceGradient(in.of(images, 3, 2)));
  }

  private Stream<DynamicTest> gradient(
      String name, Function<Inputs, PreferenceGradient> operation) {
    return Stream.of(
            agree(name + ": scores", in -> operation.apply(in).scores()),
            agree(name + ": gradient", in -> operation.apply(in).gradient()))
        .flatMap(s -> s);
  }

  /** Bit for bit, whatever runs beside it. */
  @Test
  default void textsAreReweightedAlikeEveryTime() {
    try (TensorScope scope = TensorScope.open()) {
      Tensor texts = new Inputs(backend(), DType.F32, false, 7).around(0.1, 1, 600, 64);
      float[] first = texts.reweight(null, 0.3f).texts().toFloats();
      for (int run = 0; run < 3; run++) {
        assertThat(texts.reweight(null, 0.3f).texts().toFloats()).containsExactly(first);
      }
    }
  }

  @Test
  default void textsInF16() {
    Assumptions.assumeTrue(backend().supports(DType.F16), "no F16");
    try (TensorScope scope = TensorScope.open()) {
      Inputs in = new Inputs(backend(), DType.F32, false, 8);
      Tensor texts = in.around(0.1, 1, 70, 64).cast(DType.F16);
      Tensor images = in.normal(70, 64).cast(DType.F16);
      Tolerance near = new Tolerance(2e-3, 1e-2);
      near.check(
          "reweight in F16",
          texts.cast(DType.F32).reweight(null, 0.3f).texts(),
          texts.reweight(null, 0.3f).texts().cast(DType.F32));
      near.check(
          "preferenceGradient in F16",
          texts.cast(DType.F32).preferenceGradient(images.cast(DType.F32)).gradient(),
          texts.preferenceGradient(images).gradient().cast(DType.F32));
    }
  }

  @Test
  default void preferencesThatDoNotFitAreRefused() {
    try (TensorScope scope = TensorScope.open()) {
      Inputs in = new Inputs(backend(), DType.F32, false, 1);
      Tensor texts = in.normal(2, 4);
      assertThatThrownBy(() -> in.normal(2, 4, 1).reweight(null, 0))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("texts [2, 4, 1], expected [N, D]");
      assertThatThrownBy(() -> in.normal(0, 4).reweight(null, 0))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("texts [0, 4]");
      assertThatThrownBy(() -> texts.reweight(in.normal(3), 0))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("direction F32 [3] for texts [2, 4], expected F32 [4]");
      assertThatThrownBy(() -> texts.reweight(null, Float.NaN))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("omega = NaN");
      assertThatThrownBy(() -> texts.preferenceGradient(in.normal(3, 4)))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("texts F32 [2, 4], images F32 [3, 4]");
    }
  }
}
