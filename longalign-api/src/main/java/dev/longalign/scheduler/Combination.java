package dev.longalign.scheduler;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.Tensor;
import java.util.Arrays;

/**
 * Linear combinations with coefficients computed in double; the only arithmetic that schedulers do
 * on tensors.
 */
final class Combination {
  private Combination() {}

  /** {@code sum_i coefficients[i] * xs[i]}; terms with a coefficient of 0 are not read. */
  static Tensor of(double[] coefficients, Tensor... xs) {
    float[] factors = new float[xs.length];
    Tensor[] terms = new Tensor[xs.length];
    int count = 0;
    for (int i = 0; i < xs.length; i++) {
      if (coefficients[i] != 0) {
        factors[count] = (float) coefficients[i];
        terms[count++] = xs[i];
      }
    }
    if (count == 0) {
      terms[count++] = xs[0];
    }
    return Tensor.linearCombination(Arrays.copyOf(factors, count), Arrays.copyOf(terms, count));
  }

  /** As {@link #of}, with coefficients of their own for every row of the first axis. */
  static Tensor perRow(double[][] coefficients, Tensor... xs) {
    int rows = xs[0].dim(0);
    if (coefficients.length != 1 && coefficients.length != rows) {
      throw new LongAlignException(
          "timesteps: expected one, or one per row of "
              + xs[0].shape()
              + ", found "
              + coefficients.length);
    }
    if (Arrays.stream(coefficients).allMatch(row -> Arrays.equals(row, coefficients[0]))) {
      return of(coefficients[0], xs);
    }
    Tensor[] results = new Tensor[rows];
    for (int row = 0; row < rows; row++) {
      Tensor[] slices = new Tensor[xs.length];
      for (int i = 0; i < xs.length; i++) {
        slices[i] = xs[i].rows(row, row + 1);
      }
      results[row] = of(coefficients[row], slices);
    }
    return Tensor.concat(0, results);
  }
}
