package dev.longalign.evaluation;

import dev.longalign.data.panels.Alignment;
import dev.longalign.data.panels.PictureQuality;

/**
 * What an {@link Evaluator} found of some pictures.
 *
 * @param pictures how many
 * @param alignment what the reader finds in them of what was asked for
 * @param scores what the preference model says
 * @param quality how they are drawn, compared with renders of what they show
 */
public record Evaluation(int pictures, Alignment alignment, Scores scores, PictureQuality quality) {

  /**
   * Means over the pictures, each with its caption.
   *
   * @param denscore the score
   * @param denscoreO the score with omega of the text-irrelevant part
   * @param omega of Denscore-O
   * @param relevant the text-relevant part
   * @param irrelevant the text-irrelevant part; the parts sum to the score
   */
  public record Scores(
      double denscore, double denscoreO, double omega, double relevant, double irrelevant) {}
}
