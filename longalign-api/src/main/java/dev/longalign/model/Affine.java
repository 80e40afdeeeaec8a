package dev.longalign.model;

import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import java.util.Arrays;

/** {@code factor * x + shift}. */
final class Affine {
  private Affine() {}

  /**
   * The contract has no constant term; a shift is rare (SD 1.5 and 2.1 have none) and pays for a
   * tensor of ones.
   */
  static Tensor of(Tensor x, float factor, float shift) {
    if (shift == 0) {
      return factor == 1 ? x : x.scale(factor);
    }
    Shape shape = x.shape();
    float[] ones = new float[Math.toIntExact(shape.size())];
    Arrays.fill(ones, 1);
    Tensor one = Tensor.of(x.backend(), shape, ones).cast(x.dtype());
    return Tensor.linearCombination(new float[] {factor, shift}, x, one);
  }
}
