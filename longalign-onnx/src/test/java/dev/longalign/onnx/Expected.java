package dev.longalign.onnx;

import static org.assertj.core.api.Assertions.fail;

import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFile;
import dev.longalign.io.TensorFiles;
import dev.longalign.text.HiddenStates;
import java.nio.file.Path;

/** Reference tensors of a test, and the comparison with them. */
final class Expected {
  static final Path GOLDEN = Path.of("../longalign-api/src/test/golden");
  static final Path ENCODERS = Path.of("src/test/resources/encoders");

  private Expected() {}

  static StoredTensor tensor(Path file, String name) {
    try (TensorFile tensors = TensorFiles.open(file)) {
      return tensors.tensor(name);
    }
  }

  /** The rows of an integer matrix. */
  static int[][] ids(Path file, String name) {
    StoredTensor tensor = tensor(file, name);
    long[] values = tensor.toLongs();
    int[][] rows = new int[tensor.shape().intDim(0)][tensor.shape().intDim(1)];
    for (int i = 0; i < values.length; i++) {
      rows[i / rows[0].length][i % rows[0].length] = Math.toIntExact(values[i]);
    }
    return rows;
  }

  static void assertClose(HiddenStates found, StoredTensor expected, double tolerance) {
    long[] shape = {found.sequences(), found.length(), found.width()};
    if (!java.util.Arrays.equals(shape, expected.shape().toArray())) {
      fail("expected shape %s, got %s", expected.shape(), java.util.Arrays.toString(shape));
    }
    assertClose(found.values(), expected.toFloats(), tolerance);
  }

  /** max |a - b| <= tolerance * max(1, max |b|). */
  static void assertClose(float[] found, float[] expected, double tolerance) {
    if (found.length != expected.length) {
      fail("expected %d numbers, got %d", expected.length, found.length);
    }
    double largest = 1;
    int worst = 0;
    for (int i = 0; i < expected.length; i++) {
      largest = Math.max(largest, Math.abs(expected[i]));
      double error = Math.abs(found[i] - expected[i]);
      if (!(error <= Math.abs(found[worst] - expected[worst]))) {
        worst = i;
      }
    }
    double error = Math.abs(found[worst] - expected[worst]);
    if (!(error <= tolerance * largest)) {
      fail(
          "at %d: expected %s, got %s (max error %.3g, allowed %.3g)",
          worst, expected[worst], found[worst], error, tolerance * largest);
    }
  }
}
