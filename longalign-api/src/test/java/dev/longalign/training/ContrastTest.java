package dev.longalign.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import dev.longalign.tensor.cpu.CpuBackend;
import java.util.Random;
import java.util.function.IntPredicate;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** The contrastive loss against the same sums in double precision. */
class ContrastTest {
  private static final int WIDTH = 5;
  private static final double LOG_SCALE = 1.3;

  private final Random random = new Random(4);

  private float[] values(int count) {
    float[] values = new float[count * WIDTH];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (0.6 * random.nextGaussian());
    }
    return values;
  }

  private static double score(float[] t, int text, float[] i, int picture) {
    double dot = 0;
    for (int d = 0; d < WIDTH; d++) {
      dot += (double) t[text * WIDTH + d] * i[picture * WIDTH + d];
    }
    return Math.exp(LOG_SCALE) * dot;
  }

  private static double logSum(int count, IntPredicate takesPart, IntToDouble score) {
    return Math.log(
        IntStream.range(0, count).filter(takesPart).mapToDouble(n -> Math.exp(score.of(n))).sum());
  }

  private interface IntToDouble {
    double of(int n);
  }

  /** Pairs of text, picture and weight; {@code truth[t][p]} is the weight, 0 where not true. */
  private void check(double[][] truth, Contrast contrast) {
    int texts = truth.length;
    int pictures = truth[0].length;
    float[] t = values(texts);
    float[] i = values(pictures);
    double expected = 0;
    for (int text = 0; text < texts; text++) {
      for (int picture = 0; picture < pictures; picture++) {
        int own = text;
        int at = picture;
        double toPictures =
            logSum(pictures, p -> p == at || truth[own][p] == 0, p -> score(t, own, i, p));
        double toTexts = logSum(texts, o -> o == own || truth[o][at] == 0, o -> score(t, o, i, at));
        expected +=
            truth[text][picture] * ((toPictures + toTexts) / 2 - score(t, text, i, picture));
      }
    }
    try (Backend cpu = new CpuBackend(1);
        TensorScope scope = TensorScope.open()) {
      float found =
          contrast.loss(
                  Tensor.of(cpu, Shape.of(texts, WIDTH), t),
                  Tensor.of(cpu, Shape.of(pictures, WIDTH), i),
                  Tensor.of(cpu, Shape.of(), (float) LOG_SCALE))
              .toFloats()[0];
      assertThat((double) found).isCloseTo(expected, within(1e-5 * Math.abs(expected)));
    }
  }

  @Test
  void oneTextAPictureIsClipsLoss() {
    Contrast contrast = new Contrast(4, 4);
    double[][] truth = new double[4][4];
    for (int n = 0; n < 4; n++) {
      contrast.add(n, n, 0.25f);
      truth[n][n] = 0.25;
    }
    check(truth, contrast);
  }

  @Test
  void whatIsTrueIsNoNegative() {
    double[][] truth = {{0.5, 0, 0.25}, {0.125, 0, 0}, {0, 1, 0}, {0, 0, 0.75}, {0, 0, 0}};
    Contrast contrast = new Contrast(5, 3);
    for (int t = 0; t < truth.length; t++) {
      for (int p = 0; p < truth[t].length; p++) {
        if (truth[t][p] > 0) { // in two halves: a caption may say the same thing twice
          contrast.add(t, p, (float) truth[t][p] / 2);
          contrast.add(t, p, (float) truth[t][p] / 2);
        }
      }
    }
    check(truth, contrast);
  }
}
