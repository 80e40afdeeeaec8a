package dev.longalign.training;

import dev.longalign.random.TorchGenerator;
import dev.longalign.tensor.Tensor;
import java.util.Arrays;
import java.util.function.UnaryOperator;

/** What objectives draw and combine alike. */
final class Draws {
  private Draws() {}

  /** Uniform in [low, high). */
  static int[] timesteps(TorchGenerator random, int low, int high, int count) {
    long[] drawn = random.randint(low, high, count);
    int[] timesteps = new int[count];
    for (int i = 0; i < count; i++) {
      timesteps[i] = Math.toIntExact(drawn[i]);
    }
    return timesteps;
  }

  static float[] floats(int[] values) {
    float[] floats = new float[values.length];
    for (int i = 0; i < values.length; i++) {
      floats[i] = values[i];
    }
    return floats;
  }

  static Tensor difference(Tensor a, Tensor b) {
    return Tensor.linearCombination(new float[] {1, -1}, a, b);
  }

  /** {@code unconditional + scale (conditional - unconditional)}. */
  static Tensor guided(Tensor conditional, Tensor unconditional, float scale) {
    return Tensor.linearCombination(new float[] {scale, 1 - scale}, conditional, unconditional);
  }

  /** The rows of x, those that are marked replaced by the only row of another tensor. */
  static Tensor replaceRows(Tensor x, boolean[] marked, Tensor row) {
    Tensor[] rows = new Tensor[marked.length];
    boolean any = false;
    for (int b = 0; b < rows.length; b++) {
      rows[b] = marked[b] ? row : x.rows(b, b + 1);
      any |= marked[b];
    }
    return any ? Tensor.concat(0, rows) : x;
  }

  /** {@code count} copies of the only row. */
  static Tensor repeatRow(Tensor row, int count) {
    Tensor[] rows = new Tensor[count];
    Arrays.fill(rows, row);
    return count == 1 ? row : Tensor.concat(0, rows);
  }

  /** The UNet's context: CLIP's half, then T5's. */
  static Tensor context(ExampleEncoder.Texts texts, UnaryOperator<Tensor> adapter) {
    return Tensor.concat(1, texts.clip(), adapter.apply(texts.t5()));
  }
}
