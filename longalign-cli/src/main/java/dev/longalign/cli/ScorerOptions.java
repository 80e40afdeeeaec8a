package dev.longalign.cli;

import dev.longalign.Splitter;
import dev.longalign.preference.CommonDirection;
import java.nio.file.Path;
import picocli.CommandLine.Option;

/** Which preference model scores, and how. */
final class ScorerOptions {
  @Option(
      names = "--scorer",
      paramLabel = "DIR|FILE",
      description =
          "A CLIPModel's directory (Denscore, PickScore, CLIP) or a file of open_clip's layout"
              + " (HPSv2). Default: the small Denscore in the jar.")
  Path scorer;

  @Option(
      names = "--scorer-tokenizer",
      paramLabel = "DIR",
      description = "CLIP's tokenizer, if it is not beside the scorer.")
  Path tokenizer;

  @Option(
      names = "--whole",
      description =
          "Score the caption as one text, cut at 77 tokens, as PickScore, HPSv2 and CLIP do."
              + " Default: the mean over its segments, as Denscore does.")
  boolean whole;

  @Option(
      names = "--score-splitter",
      defaultValue = "reference",
      description = "How captions are cut, one of: ${COMPLETION-CANDIDATES}. Default: reference.")
  Splitter splitter;

  @Option(
      names = "--common",
      paramLabel = "FILE",
      description =
          "The common direction, as 'longalign eta' writes it. Default: "
              + Scoring.COMMON_FILE
              + " beside the scorer; else that of the captions given, if they are many; else that"
              + " of a list in the jar.")
  Path common;

  @Option(
      names = "--omega",
      description = "How much of the text-irrelevant part stays in Denscore-O. Default: 0.3.")
  double omega = CommonDirection.DEFAULT_OMEGA;
}
