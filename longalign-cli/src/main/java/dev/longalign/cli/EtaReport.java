package dev.longalign.cli;

import dev.longalign.preference.EtaStatistics;
import java.nio.file.Path;
import java.util.Optional;

/**
 * What {@code longalign eta} found.
 *
 * @param commonDirection what V is of
 * @param etas of every caption, in the order of the file
 * @param parts null without pictures
 */
record EtaReport(
    Path captionFile,
    String scorer,
    String commonDirection,
    EtaStatistics statistics,
    EtaStatistics.Histogram histogram,
    double[] etas,
    Parts parts) {

  /** What the numbers do not tell; nothing if there are enough. */
  Optional<String> warning() {
    return etas.length >= Scoring.MANY
        ? Optional.empty()
        : Optional.of(
            etas.length
                + (etas.length == 1 ? " caption is" : " captions are")
                + " too few: below "
                + Scoring.MANY
                + ", means, deviations and correlations say next to nothing");
  }

  /** The scores of pictures with their captions, in the order of the captions. */
  record Parts(
      double[] scores,
      double[] relevant,
      double[] irrelevant,
      EtaStatistics.Correlation relevantWithScore,
      EtaStatistics.Correlation irrelevantWithScore) {}
}
