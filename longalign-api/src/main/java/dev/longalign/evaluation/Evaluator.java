package dev.longalign.evaluation;

import dev.longalign.data.RgbPicture;
import dev.longalign.data.panels.Alignment;
import dev.longalign.data.panels.CaptionedScene;
import dev.longalign.data.panels.HeldOut;
import dev.longalign.data.panels.PanelsReader;
import dev.longalign.data.panels.PictureQuality;
import dev.longalign.data.panels.Scene;
import dev.longalign.preference.CaptionFeatures;
import dev.longalign.preference.CommonDirection;
import dev.longalign.preference.PictureBatch;
import dev.longalign.preference.PictureScore;
import dev.longalign.preference.PictureScorer;
import java.awt.image.BufferedImage;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;

/**
 * Evaluates pictures of the panels world. The common direction is calibrated once, so that the
 * numbers of one evaluator can be compared. Thread-safe.
 *
 * <pre>{@code
 * Evaluator evaluator = Evaluator.heldOut(PictureScorer.denscore(model), 0.3);
 * Evaluation found = evaluator.evaluate(pictures, HeldOut.longCaptions());
 * }</pre>
 */
public final class Evaluator {
  private final PictureScorer scorer;
  private final CommonDirection common;
  private final double omega;

  /**
   * @param scorer its model stays the caller's
   * @param common of many captions, not only of those evaluated
   * @param omega of Denscore-O, 0 to 1
   */
  public Evaluator(PictureScorer scorer, CommonDirection common, double omega) {
    this.scorer = Objects.requireNonNull(scorer, "scorer");
    this.common = Objects.requireNonNull(common, "common");
    if (!(omega >= 0 && omega <= 1)) {
      throw new IllegalArgumentException("omega: expected a number from 0 to 1, found " + omega);
    }
    this.omega = omega;
  }

  /**
   * With the common direction of all held-out captions, long and short.
   *
   * @param omega {@link CommonDirection#DEFAULT_OMEGA} is the paper's
   */
  public static Evaluator heldOut(PictureScorer scorer, double omega) {
    List<String> captions =
        Stream.concat(HeldOut.longCaptions().stream(), HeldOut.shortCaptions().stream())
            .map(CaptionedScene::caption)
            .toList();
    return new Evaluator(
        scorer, CommonDirection.of(PictureScorer.texts(scorer.captions(captions))), omega);
  }

  /**
   * @param pictures of 96 x 96 pixels
   * @param asked what each should show
   * @throws IllegalArgumentException if there are none, not as many scenes, or a size is another
   */
  public Evaluation evaluate(List<BufferedImage> pictures, List<CaptionedScene> asked) {
    List<Scene> shown = pictures.stream().map(PanelsReader::read).toList();
    Alignment alignment = Alignment.of(asked.stream().map(CaptionedScene::scene).toList(), shown);
    PictureQuality quality =
        PictureQuality.of(pictures.stream().map(RgbPicture::of).toList(), shown);
    return new Evaluation(pictures.size(), alignment, scores(pictures, asked), quality);
  }

  private Evaluation.Scores scores(List<BufferedImage> pictures, List<CaptionedScene> asked) {
    List<CaptionFeatures> captions =
        scorer.captions(asked.stream().map(CaptionedScene::caption).toList());
    double score = 0;
    double reweighted = 0;
    double relevant = 0;
    double irrelevant = 0;
    for (int i = 0; i < pictures.size(); i++) {
      float[] image = scorer.images(PictureBatch.of(pictures.get(i))).row(0);
      PictureScore found = PictureScorer.score(image, captions.get(i), common, omega);
      score += found.score();
      reweighted += found.reweighted();
      relevant += found.relevant();
      irrelevant += found.irrelevant();
    }
    double count = pictures.size();
    return new Evaluation.Scores(
        score / count, reweighted / count, omega, relevant / count, irrelevant / count);
  }
}
