package dev.longalign.training;

import dev.longalign.LongAlignException;
import dev.longalign.preference.CommonDirection;
import java.nio.file.Path;

/**
 * What the reward stages of a run ask a preference model, and along which sampling.
 *
 * @param scorer the preference model's directory or open_clip file; null for {@code denscore} in
 *     the model's directory
 * @param whole scores captions as one text (PickScore, HPSv2, CLIP) instead of by segments
 * @param omega how much of the text-irrelevant part stays, in [0, 1]
 * @param direction where V is from
 * @param directionFile for {@link Direction#FILE}, else null
 * @param guidanceScale of the sampling; 1 for none
 * @param samplingSteps DDIM steps, or those of the distilled model
 * @param every how many steps one is differentiated
 */
public record RewardSettings(
    Path scorer,
    boolean whole,
    double omega,
    Direction direction,
    Path directionFile,
    float guidanceScale,
    int samplingSteps,
    int every) {

  /** Where the common direction V is from. */
  public enum Direction {
    /** Of each batch, as the published code computes it; a small batch gives a poor V. */
    BATCH,
    /** Of the first captions of the data, once, before the first step. */
    DATA,
    /** Of a file that was calibrated before. */
    FILE
  }

  /** How many captions {@link Direction#DATA} reads. */
  public static final int CALIBRATION_CAPTIONS = 512;

  public RewardSettings {
    if (!(omega >= 0 && omega <= 1)) {
      throw new LongAlignException("omega: expected a number in [0, 1], found " + omega);
    }
    if (!Float.isFinite(guidanceScale)) {
      throw new LongAlignException(
          "guidanceScale: expected a finite number, found " + guidanceScale);
    }
    if ((direction == Direction.FILE) != (directionFile != null)) {
      throw new IllegalArgumentException("a file of the direction, and only then its path");
    }
  }

  /** What LongAlign trains with. */
  public static RewardSettings of(Stage stage) {
    RewardObjective.Settings s =
        stage == Stage.REWARD
            ? RewardObjective.Settings.reward()
            : RewardObjective.Settings.rewardLcm();
    return new RewardSettings(
        null,
        false,
        CommonDirection.DEFAULT_OMEGA,
        Direction.BATCH,
        null,
        s.guidanceScale(),
        s.steps(),
        s.every());
  }
}
