package dev.longalign.cli;

import dev.longalign.SampleResult;
import dev.longalign.preference.CaptionFeatures;
import dev.longalign.preference.PictureScore;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import picocli.CommandLine.Option;

/** Samples several seeds and keeps the picture that the preference model likes most. */
final class BestOfOptions {
  @Option(
      names = "--best-of",
      paramLabel = "N",
      description = "Sample N seeds a prompt and keep the best picture.")
  Integer count;

  @Option(
      names = "--by",
      defaultValue = "score",
      description = "What is best, one of: ${COMPLETION-CANDIDATES}. Default: score.")
  Measure by;

  /** What the best picture has most of. */
  enum Measure {
    SCORE("score"),
    SCORE_O("score-o"),
    RELEVANT("relevant"),
    WORST_SENTENCE("worst-sentence");

    private final String label;

    Measure(String label) {
      this.label = label;
    }

    double of(PictureScore score) {
      return switch (this) {
        case SCORE -> score.score();
        case SCORE_O -> score.reweighted();
        case RELEVANT -> score.relevant();
        case WORST_SENTENCE -> score.worst().score();
      };
    }

    /** As it is written on the command line. */
    @Override
    public String toString() {
      return label;
    }
  }

  /**
   * What was chosen.
   *
   * @param index of the best picture in the result
   * @param scores of all
   */
  record Choice(int index, Measure by, List<Candidate> scores) {
    /** One of the pictures: its seed, what decided, and the sentence it misses most. */
    record Candidate(long seed, double value, PictureScore.Sentence worst) {}
  }

  boolean active() {
    return count != null;
  }

  /** The best of a result's pictures; the first of equals. */
  Choice choose(Scoring scoring, SampleResult result) {
    CaptionFeatures caption = scoring.scorer().caption(result.request().prompt());
    var common = scoring.common(List.of(caption)).direction();
    List<Choice.Candidate> candidates = new ArrayList<>();
    for (int i = 0; i < result.images().size(); i++) {
      PictureScore score = scoring.score(result.images().get(i), caption, common);
      candidates.add(new Choice.Candidate(result.seeds().get(i), by.of(score), score.worst()));
    }
    int best =
        IntStream.range(0, candidates.size())
            .boxed()
            .max(
                Comparator.<Integer>comparingDouble(i -> candidates.get(i).value())
                    .thenComparing(Comparator.reverseOrder()))
            .orElseThrow();
    return new Choice(best, by, candidates);
  }
}
