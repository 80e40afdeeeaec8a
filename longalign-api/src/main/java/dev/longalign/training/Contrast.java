package dev.longalign.training;

import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

/**
 * Which texts of a batch are true of which of its pictures, and the contrastive loss of that: for
 * each pair, InfoNCE (van den Oord et al. 2018) in both directions, as CLIP has it (Radford et al.
 * 2021, figure 3):
 *
 * <pre>
 *   loss = sum over pairs (t, p) of weight * (1/2 (lse_p' s(t, p') + lse_t' s(t', p)) - s(t, p))
 *   s(t, p) = exp(logitScale) &lt;T_t, I_p&gt;
 * </pre>
 *
 * where {@code p'} runs over p and the pictures that t is not true of, and {@code t'} over t and
 * the texts that are not true of p: what is true is no negative.
 */
final class Contrast {
  /** Added to a score that takes no part; its exponential is 0, and 0 times it is not NaN. */
  private static final float OUT = -1e30f;

  private final int texts;
  private final int pictures;
  private final boolean[][] isTrue; // [texts][pictures]
  private final List<Integer> textOf = new ArrayList<>();
  private final List<Integer> pictureOf = new ArrayList<>();
  private final List<Float> weights = new ArrayList<>();

  Contrast(int texts, int pictures) {
    this.texts = texts;
    this.pictures = pictures;
    this.isTrue = new boolean[texts][pictures];
  }

  /** Says that a text is true of a picture; said again, it weighs more. */
  void add(int text, int picture, float weight) {
    if (isTrue[text][picture]) {
      for (int pair = 0; pair < weights.size(); pair++) {
        if (textOf.get(pair) == text && pictureOf.get(pair) == picture) {
          weights.set(pair, weights.get(pair) + weight);
        }
      }
      return;
    }
    isTrue[text][picture] = true;
    textOf.add(text);
    pictureOf.add(picture);
    weights.add(weight);
  }

  /**
   * The loss, an f32 scalar.
   *
   * @param t texts' features [texts, D]
   * @param i pictures' features [pictures, D], of length 1
   * @param logitScale scalar
   */
  Tensor loss(Tensor t, Tensor i, Tensor logitScale) {
    int pairs = weights.size();
    int[] text = textOf.stream().mapToInt(Integer::intValue).toArray();
    int[] picture = pictureOf.stream().mapToInt(Integer::intValue).toArray();
    float[] overPictures = new float[pairs * pictures];
    float[] overTexts = new float[pairs * texts];
    float[] weight = new float[pairs];
    for (int pair = 0; pair < pairs; pair++) {
      weight[pair] = weights.get(pair);
      for (int p = 0; p < pictures; p++) {
        boolean out = p != picture[pair] && isTrue[text[pair]][p];
        overPictures[pair * pictures + p] = out ? OUT : 0;
      }
      for (int other = 0; other < texts; other++) {
        boolean out = other != text[pair] && isTrue[other][picture[pair]];
        overTexts[pair * texts + other] = out ? OUT : 0;
      }
    }
    Tensor toPictures = logSumExp(t, i, text, overPictures, logitScale); // [pairs]
    Tensor toTexts = logSumExp(i, t, picture, overTexts, logitScale); // [pairs]
    Tensor own = t.gatherRows(text).rowDots(i.gatherRows(picture)).scaleExp(logitScale); // [pairs]
    Tensor losses =
        Tensor.linearCombination(new float[] {0.5f, 0.5f, -1}, toPictures, toTexts, own);
    return losses.multiply(Tensor.of(t.backend(), Shape.of(pairs), weight)).sum();
  }

  /** For every pair, over all of b: the scores of its row of a, plus a mask [pairs, b]. */
  private static Tensor logSumExp(Tensor a, Tensor b, int[] row, float[] mask, Tensor logitScale) {
    Tensor scores = a.matmul(b, true).scaleExp(logitScale).gatherRows(row); // [pairs, b]
    return scores.add(Tensor.of(a.backend(), scores.shape(), mask)).logSumExp();
  }
}
