package dev.longalign.training;

import dev.longalign.LongAlignException;
import dev.longalign.data.Dataset;
import dev.longalign.model.AutoencoderKL;
import dev.longalign.preference.CommonDirection;
import dev.longalign.preference.PictureScorer;
import dev.longalign.preference.PreferenceModel;
import dev.longalign.tensor.Device;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CancellationException;

/** An open preference model and the reward that a run makes of it. */
final class RewardModel implements AutoCloseable {
  /** Where a complete model directory has its Denscore. */
  private static final String OWN_SCORER = "denscore";

  private final PreferenceModel model;
  private final PictureReward reward;

  private RewardModel(PreferenceModel model, PictureReward reward) {
    this.model = model;
    this.reward = reward;
  }

  /**
   * @param directory the diffusion model's, with a scorer for settings that name none
   * @param captions of the data, to calibrate the common direction on, if the settings say so
   * @param device of the model, if it can run there
   */
  static RewardModel open(
      RewardSettings settings,
      Path directory,
      AutoencoderKL vae,
      Dataset<String> captions,
      int threads,
      Device device) {
    Path scorer = scorer(settings, directory);
    if (!Files.exists(scorer)) {
      throw new LongAlignException(
          scorer
              + ": expected a preference model (Denscore, PickScore, CLIP or HPSv2), found nothing"
              + " there; name one with the key scorer");
    }
    PreferenceModel model = PreferenceModel.open(scorer, scorer, threads, device);
    try {
      PictureScorer pictures =
          settings.whole() ? PictureScorer.whole(model) : PictureScorer.denscore(model);
      CommonDirection common =
          switch (settings.direction()) {
            case BATCH -> null;
            case DATA -> calibrated(pictures, captions);
            case FILE -> read(settings.directionFile(), model.width());
          };
      return new RewardModel(model, new PictureReward(vae, pictures, common, settings.omega()));
    } catch (RuntimeException e) {
      model.close();
      throw e;
    }
  }

  /** That of the settings, or the one in the model's directory. */
  static Path scorer(RewardSettings settings, Path directory) {
    return settings.scorer() == null ? directory.resolve(OWN_SCORER) : settings.scorer();
  }

  private static CommonDirection calibrated(PictureScorer scorer, Dataset<String> captions) {
    long count =
        Math.min(RewardSettings.CALIBRATION_CAPTIONS, captions.size().orElse(Long.MAX_VALUE));
    CommonDirection.Accumulator sum = new CommonDirection.Accumulator();
    for (long i = 0; i < count; i++) {
      if (Thread.currentThread().isInterrupted()) {
        throw new CancellationException("interrupted while captions were calibrated on");
      }
      String caption;
      try {
        caption = captions.example(i);
      } catch (LongAlignException unusable) {
        continue; // the loader names it when its turn comes
      }
      sum.add(scorer.caption(caption).text());
    }
    return sum.direction();
  }

  private static CommonDirection read(Path file, int width) {
    CommonDirection read = CommonDirection.read(file);
    if (read.vector().length != width) {
      throw new LongAlignException(
          file
              + ": expected a direction of width "
              + width
              + ", found "
              + read.vector().length
              + "; it belongs to another preference model");
    }
    return read;
  }

  PictureReward reward() {
    return reward;
  }

  @Override
  public void close() {
    model.close();
  }
}
