package dev.longalign.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;

/** The control against numbers computed by hand or taken from tables. */
class ReferenceBackendTest {
  @Test
  void erfAgreesWithTables() { // Abramowitz and Stegun, table 7.1
    assertThat(ReferenceMath.erf(0.5)).isCloseTo(0.5204998778, within(1e-10));
    assertThat(ReferenceMath.erf(-1)).isCloseTo(-0.8427007929, within(1e-10));
    assertThat(ReferenceMath.erf(2)).isCloseTo(0.9953222650, within(1e-10));
    assertThat(ReferenceMath.erf(Double.NaN)).isNaN();
    assertThat(ReferenceMath.erf(7)).isEqualTo(1);
  }

  @Test
  void linearByHand() {
    try (Backend backend = new ReferenceBackend();
        TensorScope scope = TensorScope.open()) {
      Tensor weight = Tensor.of(backend, Shape.of(2, 3), 1, 2, 3, 4, 5, 6);
      Tensor bias = Tensor.of(backend, Shape.of(2), 10, 20);
      Tensor x = Tensor.of(backend, Shape.of(2, 3), 1, 0, -1, 2, 2, 2);
      Tensor y = x.linear(backend.packLinear(weight, bias, DType.F32));
      assertThat(y.toFloats()).containsExactly(8, 18, 22, 50);
      Tensor residual = Tensor.of(backend, Shape.of(2, 2), 100, 200, 300, 400);
      Tensor z =
          x.linear(
              backend.packLinear(weight, null, DType.F32),
              new Epilogue(Activation.NONE, y, residual));
      assertThat(z.toFloats()).containsExactly(106, 216, 334, 480);
    }
  }

  @Test
  void convolutionByHand() {
    try (Backend backend = new ReferenceBackend();
        TensorScope scope = TensorScope.open()) {
      Tensor x = Tensor.of(backend, Shape.of(1, 2, 3, 1), 1, 2, 3, 4, 5, 6);
      Tensor weight = Tensor.of(backend, Shape.of(1, 1, 3, 3), 1, 2, 3, 4, 5, 6, 7, 8, 9);
      Conv2dWeight packed =
          backend.packConv2d(weight, null, Conv2dGeometry.of(1, 1, 3, 1, 1), DType.F32);
      assertThat(x.conv2d(packed).toFloats()).containsExactly(94, 154, 106, 58, 91, 58);
      Conv2dGeometry down = new Conv2dGeometry(1, 1, 3, 3, 2, 0, 0, 1, 1);
      Tensor y = x.conv2d(backend.packConv2d(weight, null, down, DType.F32));
      assertThat(y.shape()).isEqualTo(Shape.of(1, 1, 1, 1));
      assertThat(y.toFloats()).containsExactly(1 + 4 + 9 + 16 + 25 + 36);
    }
  }

  @Test
  void attentionByHand() {
    try (Backend backend = new ReferenceBackend();
        TensorScope scope = TensorScope.open()) {
      Tensor q = Tensor.of(backend, Shape.of(1, 1, 2), 1, 0);
      Tensor k = Tensor.of(backend, Shape.of(1, 2, 2), (float) Math.log(3), 9, 0, 9);
      Tensor v = Tensor.of(backend, Shape.of(1, 2, 2), 4, 8, 8, 0);
      Tensor y = q.attention(k, v, 1, 1);
      Tolerance.F32.check("attention", y.shape(), new float[] {5, 6}, y);
    }
  }

  @Test
  void bf16RoundsToNearestEven() {
    assertThat(ReferenceMath.round(DType.BF16, 1 + 1 / 256.0)).isEqualTo(1);
    assertThat(ReferenceMath.round(DType.BF16, 1 + 3 / 256.0)).isEqualTo(1 + 4 / 256f);
    assertThat(ReferenceMath.round(DType.BF16, -Math.PI)).isEqualTo(-3.140625f);
    assertThat(ReferenceMath.round(DType.BF16, Double.NaN)).isNaN();
  }

  @Test
  void f16RoundsToNearestEvenAndItsBitsAreThoseOfIeee754() {
    assertThat(ReferenceMath.round(DType.F16, 1 + 1 / 2048.0)).isEqualTo(1);
    assertThat(ReferenceMath.round(DType.F16, 1 + 3 / 2048.0)).isEqualTo(1 + 4 / 2048f);
    assertThat(ReferenceMath.round(DType.F16, 65519)).isEqualTo(65504);
    assertThat(ReferenceMath.round(DType.F16, -65520)).isEqualTo(Float.NEGATIVE_INFINITY);
    assertThat(ReferenceMath.round(DType.F16, 0x1.8p-25)).isEqualTo(0x1p-24f);
    assertThat(ReferenceMath.round(DType.F16, 0x1p-25)).isZero();
    assertThat(ReferenceMath.toF16(-1.5f)).isEqualTo((short) 0xbe00);
    assertThat(ReferenceMath.toF16(65504)).isEqualTo((short) 0x7bff);
    assertThat(ReferenceMath.toF16(0x1p-24f)).isEqualTo((short) 1);
    assertThat(ReferenceMath.toF16(1 / 0f)).isEqualTo((short) 0x7c00);
    for (int bits = 0; bits < 0x7c00; bits++) {
      float value = ReferenceMath.fromF16((short) bits);
      assertThat(ReferenceMath.round(DType.F16, value)).isEqualTo(value);
      assertThat(ReferenceMath.toF16(value)).isEqualTo((short) bits);
    }
    assertThat(ReferenceMath.fromF16((short) 0xfc00)).isEqualTo(Float.NEGATIVE_INFINITY);
    assertThat(ReferenceMath.fromF16((short) 0x7e00)).isNaN();
  }

  @Test
  void toleranceNamesTheWorstElement() {
    assertThatThrownBy(
            () ->
                Tolerance.F32.check(
                    "op", Shape.of(2, 2), new float[] {1, 2, 3, 4}, new float[] {1, 2.1f, 3.5f, 4}))
        .isInstanceOf(AssertionError.class)
        .hasMessageContainingAll("op: at [1, 0] expected 3.0, got 3.5", "2 of 4");
    assertThatThrownBy(
            () -> Tolerance.F32.check("op", Shape.of(1), new float[] {1}, new float[] {Float.NaN}))
        .isInstanceOf(AssertionError.class);
    Tolerance.F32.check("op", Shape.of(1), new float[] {Float.NaN}, new float[] {Float.NaN});
  }

  @Test
  void goldenVectorsAreRead() {
    try (Backend backend = new ReferenceBackend();
        TensorScope scope = TensorScope.open()) {
      Golden golden = Golden.open("unet/forward");
      assertThat(golden.values().getAsJsonObject("timesteps").get("t999").getAsInt())
          .isEqualTo(999);
      Tensor sample = golden.nhwc(backend, "sample");
      assertThat(sample.shape()).isEqualTo(Shape.of(2, 16, 16, 4));
      float[] nchw = golden.floats("sample");
      assertThat(sample.toFloats()[(5 * 16 + 7) * 4 + 2]).isEqualTo(nchw[(2 * 16 + 5) * 16 + 7]);
      golden.checkNhwc(Tolerance.EXACT, "sample", sample);
    }
  }
}
