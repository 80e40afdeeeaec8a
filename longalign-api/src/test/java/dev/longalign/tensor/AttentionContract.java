package dev.longalign.tensor;

import java.util.Arrays;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** Attention over the head sizes and key counts of the UNet, the VAE and the text encoders. */
interface AttentionContract extends Contract {

  @TestFactory
  default Stream<DynamicTest> attention() {
    int[][] cases = { // batch, queries, keys, heads, head size
      {1, 1, 1, 1, 8},
      {1, 3, 0, 2, 8},
      {2, 16, 1, 2, 8},
      {1, 1, 33, 3, 16},
      {3, 7, 13, 2, 16},
      {2, 64, 64, 8, 40},
      {2, 65, 77, 8, 40},
      {1, 31, 480, 8, 40},
      {1, 130, 129, 2, 64},
      {2, 16, 479, 4, 80},
      {1, 64, 480, 8, 160},
      {1, 9, 241, 1, 160},
      {1, 64, 64, 1, 512},
      {2, 35, 35, 1, 512},
      {1, 130, 333, 1, 512},
      {2, 65, 90, 2, 328},
      {1, 20, 100, 2, 168},
      {1, 300, 257, 2, 40},
    };
    return Arrays.stream(cases)
        .flatMap(
            c ->
                agree(
                    "attention " + Arrays.toString(c),
                    in -> {
                      long width = (long) c[3] * c[4];
                      Tensor q = in.normal(c[0], c[1], width);
                      return q.attention(
                          in.normal(c[0], c[2], width),
                          in.normal(c[0], c[2], width),
                          c[3],
                          (float) (1 / Math.sqrt(c[4])));
                    }));
  }

  /** Logits have to stay in f32: rounded to bf16, one of 80 would be off by a quarter. */
  @TestFactory
  default Stream<DynamicTest> attentionWithLogitsOf80() {
    int[][] cases = {{1, 17, 33, 2, 8}, {2, 32, 480, 4, 40}, {1, 16, 65, 1, 160}};
    return Arrays.stream(cases)
        .flatMap(
            c ->
                agree(
                    "attention, logits of 80, " + Arrays.toString(c),
                    in -> {
                      int d = c[4];
                      long width = (long) c[3] * d;
                      Tensor q =
                          in.of(
                              logits(in.values(0, 1, c[0], c[1], width), d, 9), c[0], c[1], width);
                      Tensor k =
                          in.of(
                              logits(in.values(0, 1, c[0], c[2], width), d, 9), c[0], c[2], width);
                      return q.attention(k, in.normal(c[0], c[2], width), c[3], 1);
                    }));
  }

  /** The same large number added to every logit must not change anything, nor overflow. */
  @TestFactory
  default Stream<DynamicTest> attentionWithCommonShift() {
    return Stream.of(-80f, 80f, 300f)
        .flatMap(
            shift ->
                agree(
                    "attention, all logits near " + shift,
                    in -> {
                      int keys = 37;
                      float[] key = in.values(0, 0.25, 1, keys, 16);
                      for (int s = 0; s < keys; s++) {
                        key[s * 16] = shift;
                      }
                      float[] query = in.values(0, 0.25, 1, 5, 16);
                      for (int l = 0; l < 5; l++) {
                        query[l * 16] = 1;
                      }
                      return in.of(query, 1, 5, 16)
                          .attention(in.of(key, 1, keys, 16), in.normal(1, keys, 16), 1, 1);
                    }));
  }

  /** What was the largest logit at first must not be taken for it later: sums would overflow. */
  @TestFactory
  default Stream<DynamicTest> attentionWithGrowingLogits() {
    int[][] cases = { // keys, head size, logit of the last key, keys of one logit
      {300, 40, 40, 1},
      {300, 40, 300, 1},
      {700, 80, 150, 1},
      {200, 160, 100, 70},
      {520, 64, -90, 1},
      {400, 128, 200, 390},
      {400, 80, 60, 129},
    };
    return Arrays.stream(cases)
        .flatMap(
            c ->
                agree(
                    "attention, growing logits, " + Arrays.toString(c),
                    in -> {
                      int keys = c[0];
                      int size = c[1];
                      float[] key = in.values(0, 0.25, 1, keys, size);
                      for (int s = 0; s < keys; s++) {
                        key[s * size] = (float) c[2] * (s / c[3] * c[3]) / keys;
                      }
                      int queries = 70;
                      float[] query = in.values(0, 0.25, 1, queries, size);
                      for (int l = 0; l < queries; l++) {
                        query[l * size] = 1;
                      }
                      return in.of(query, 1, queries, size)
                          .attention(in.of(key, 1, keys, size), in.normal(1, keys, size), 1, 1);
                    }));
  }

  /** Gives every head vector the given length, so that logits reach its square. */
  private static float[] logits(float[] values, int d, double length) {
    for (int from = 0; from < values.length; from += d) {
      double sum = 0;
      for (int c = 0; c < d; c++) {
        sum += values[from + c] * values[from + c];
      }
      for (int c = 0; c < d; c++) {
        values[from + c] *= (float) (length / Math.sqrt(sum));
      }
    }
    return values;
  }
}
