package dev.longalign.cli;

import dev.longalign.LongAlignException;
import dev.longalign.PictureSettings;
import dev.longalign.io.PictureFile;
import dev.longalign.io.TextFile;
import dev.longalign.preference.CaptionFeatures;
import dev.longalign.preference.PictureScore;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;

/** {@code longalign score}: how well pictures go with their captions, sentence by sentence. */
@Command(
    name = "score",
    sortOptions = false,
    abbreviateSynopsis = true,
    description = {
      "Scores pictures with a preference model: Denscore, Denscore-O (with omega of the"
          + " text-irrelevant part), both parts, and every sentence, lowest first: what did the"
          + " picture miss?"
    },
    footer = {
      "",
      "Examples:",
      "  longalign score out.png",
      "  longalign score photo.jpg --caption \"A red apple. On a table.\" --scorer denscore",
      "  longalign score *.png --scorer PickScore_v1 --whole --json"
    })
final class ScoreCommand implements Callable<Integer> {
  @Mixin CommonOptions common;
  @Mixin ScorerOptions with;

  @Parameters(
      arity = "1..*",
      paramLabel = "PICTURE",
      description = "PNG or JPEG files. Without a caption, the prompt inside the PNG.")
  List<Path> pictures;

  @Option(
      names = "--caption",
      paramLabel = "TEXT",
      description = "The caption of every picture; - reads it from standard input.")
  String caption;

  @Option(
      names = "--caption-file",
      paramLabel = "FILE",
      description = "One caption a line (UTF-8), in the order of the pictures.")
  Path captionFile;

  @Option(names = "--threads", converter = Threads.class, description = Threads.DESCRIPTION)
  int threads;

  /** One picture, as {@code --json} prints it. */
  private record Report(
      Path file,
      String caption,
      double score,
      double scoreO,
      double omega,
      double relevant,
      double irrelevant,
      double eta,
      int cutTokens,
      String commonDirection,
      List<PictureScore.Sentence> sentences) {}

  @Override
  public Integer call() {
    List<String> texts = captions();
    pictures.forEach(PictureFile::info); // what is no picture is refused before models are loaded
    common.stage("loading the preference model");
    try (Signals.Work work = common.interruptible();
        Scoring scoring = Scoring.open(with, threads);
        Progress progress = common.progress("scoring", pictures.size())) {
      List<CaptionFeatures> captions = scoring.scorer().captions(texts);
      Scoring.Common direction = scoring.common(captions);
      for (int i = 0; i < pictures.size(); i++) {
        common.check();
        PictureScore score =
            scoring.score(
                PictureFile.readRgb(pictures.get(i)), captions.get(i), direction.direction());
        report(
            new Report(
                pictures.get(i),
                texts.get(i),
                score.score(),
                score.reweighted(),
                scoring.omega(),
                score.relevant(),
                score.irrelevant(),
                score.eta(),
                captions.get(i).cutTokens(),
                direction.source(),
                score.sentences()));
        progress.step();
      }
    }
    return ExitCode.OK;
  }

  private List<String> captions() {
    if (caption != null && captionFile != null) {
      throw new ParameterException(
          common.spec.commandLine(), "expected --caption or --caption-file, found both");
    }
    if (caption != null) {
      String text = StandardInput.orText(caption);
      return pictures.stream().map(picture -> text).toList();
    }
    if (captionFile != null) {
      List<String> lines = lines(captionFile);
      if (lines.size() != pictures.size()) {
        throw new LongAlignException(
            captionFile
                + ": expected a caption for each of "
                + pictures.size()
                + " pictures, found "
                + lines.size());
      }
      return lines;
    }
    List<String> texts = new ArrayList<>();
    for (Path picture : pictures) {
      try {
        texts.add(PictureSettings.read(picture).request().prompt());
      } catch (LongAlignException e) {
        throw new LongAlignException(
            picture
                + ": there is no prompt inside; give one with --caption ("
                + e.getMessage()
                + ")",
            e);
      }
    }
    return texts;
  }

  static List<String> lines(Path file) {
    return TextFile.lines(file).stream().filter(line -> !line.isBlank()).toList();
  }

  private void report(Report report) {
    if (common.json) {
      common.printJson(report);
      return;
    }
    PrintWriter out = common.out();
    out.printf(
        Locale.ROOT,
        "%s  score %.4f  score-O %.4f (omega %s)  text-relevant %.4f  text-irrelevant %.4f  eta"
            + " %.3f%n",
        report.file,
        report.score,
        report.scoreO,
        report.omega,
        report.relevant,
        report.irrelevant,
        report.eta);
    if (report.cutTokens > 0) {
      out.println("  " + report.cutTokens + " tokens of the caption are not read");
    }
    for (PictureScore.Sentence sentence : report.sentences) {
      out.printf(
          Locale.ROOT,
          "  %8.4f  %2d  %s%n",
          sentence.score(),
          sentence.index() + 1,
          sentence.text().strip());
    }
    out.flush();
  }
}
