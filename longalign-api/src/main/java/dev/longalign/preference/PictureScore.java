package dev.longalign.preference;

import java.util.List;

/**
 * What a preference model thinks of a picture with a caption.
 *
 * @param score {@code <T, I>}: Denscore, PickScore, ...
 * @param reweighted {@code <T', I>}: the score with omega of the text-irrelevant part (Denscore-O)
 * @param relevant {@code <T_perp, I>}: the text-relevant part
 * @param irrelevant {@code eta <V, I>}: the text-irrelevant part; the parts sum to the score
 * @param eta how much of the caption is common to all captions
 * @param sentences the score of every segment, lowest first: what did the picture miss?
 */
public record PictureScore(
    double score,
    double reweighted,
    double relevant,
    double irrelevant,
    double eta,
    List<Sentence> sentences) {
  public PictureScore {
    sentences = List.copyOf(sentences);
  }

  /**
   * One segment of the caption.
   *
   * @param index its place in the caption, from 0
   * @param relevant its score without what is common to all captions
   */
  public record Sentence(int index, String text, double score, double relevant) {}

  /** The sentence with the lowest score. */
  public Sentence worst() {
    return sentences.get(0);
  }
}
