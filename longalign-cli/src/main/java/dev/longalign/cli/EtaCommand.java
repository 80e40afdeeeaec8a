package dev.longalign.cli;

import dev.longalign.LongAlignException;
import dev.longalign.data.ImageFolderDataset;
import dev.longalign.io.AtomicFiles;
import dev.longalign.io.PictureFile;
import dev.longalign.io.Reasons;
import dev.longalign.preference.CaptionFeatures;
import dev.longalign.preference.CommonDirection;
import dev.longalign.preference.EtaStatistics;
import dev.longalign.preference.PictureScore;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code longalign eta}: the common direction of many captions, and the paper's figures. */
@Command(
    name = "eta",
    sortOptions = false,
    abbreviateSynopsis = true,
    description = {
      "Finds the direction that all captions share, how much of each caption it is (eta), and with"
          + " pictures how the two parts of the score relate to it. Writes eta.html, eta.json and "
          + Scoring.COMMON_FILE
          + ", which --common of the other commands reads."
    },
    footer = {
      "",
      "Examples:",
      "  longalign eta captions.txt --out eta",
      "  longalign eta captions.txt --pictures pictures --scorer denscore --out eta"
    })
final class EtaCommand implements Callable<Integer> {
  private static final int BATCH = 64;

  @Mixin CommonOptions common;
  @Mixin ScorerOptions with;

  @Parameters(
      paramLabel = "CAPTIONS",
      description = "One caption a line (UTF-8; blank lines are skipped).")
  Path captionFile;

  @Option(names = "--out", paramLabel = "DIR", required = true, description = "Where to write.")
  Path out;

  @Option(
      names = "--pictures",
      paramLabel = "DIR",
      description = "A PNG or JPEG for each caption; in the order of their names.")
  Path pictures;

  @Option(names = "--bins", description = "Of the histogram, 2 to 1000. Default: 40.")
  int bins = 40;

  @Option(names = "--threads", converter = Threads.class, description = Threads.DESCRIPTION)
  int threads;

  @Override
  public Integer call() throws IOException {
    if (bins < 2 || bins > 1000) {
      throw new IllegalArgumentException("--bins: expected 2 to 1000, found " + bins);
    }
    List<String> captions = ScoreCommand.lines(captionFile);
    if (captions.isEmpty()) {
      throw new LongAlignException(captionFile + ": expected a caption a line, found none");
    }
    List<Path> files = pictures == null ? List.of() : pictures(captions.size());
    OutputTarget.requireWritable("--out " + out, out.toAbsolutePath());
    EtaReport report;
    CommonDirection direction;
    common.stage("loading the preference model");
    try (Signals.Work work = common.interruptible();
        Scoring scoring = Scoring.open(with, threads);
        Progress progress = common.progress("captions", captions.size() + files.size())) {
      List<CaptionFeatures> encoded = new ArrayList<>();
      CommonDirection.Accumulator sum = new CommonDirection.Accumulator();
      for (int first = 0; first < captions.size(); first += BATCH) {
        common.check();
        int end = Math.min(captions.size(), first + BATCH);
        encoded.addAll(scoring.scorer().captions(captions.subList(first, end)));
        encoded.subList(first, end).forEach(caption -> sum.add(caption.text()));
        progress.stepTo(end);
      }
      Scoring.Common used =
          with.common == null
              ? new Scoring.Common(sum.direction(), "these captions")
              : scoring.common(encoded);
      direction = used.direction();
      report = report(scoring, used, encoded, files, progress);
    }
    String page = EtaPage.html(report);
    Files.createDirectories(out);
    write(out.resolve("eta.html"), page);
    write(out.resolve("eta.json"), Json.write(report));
    direction.write(out.resolve(Scoring.COMMON_FILE));
    print(report);
    return ExitCode.OK;
  }

  private EtaReport report(
      Scoring scoring,
      Scoring.Common used,
      List<CaptionFeatures> captions,
      List<Path> files,
      Progress progress) {
    CommonDirection direction = used.direction();
    double[] etas = captions.stream().mapToDouble(c -> direction.eta(c.text())).toArray();
    EtaReport.Parts parts = null;
    if (!files.isEmpty()) {
      double[] scores = new double[files.size()];
      double[] relevant = new double[files.size()];
      double[] irrelevant = new double[files.size()];
      for (int i = 0; i < scores.length; i++) {
        common.check();
        PictureScore score =
            scoring.score(PictureFile.readRgb(files.get(i)), captions.get(i), direction);
        scores[i] = score.score();
        relevant[i] = score.relevant();
        irrelevant[i] = score.irrelevant();
        progress.step();
      }
      parts =
          new EtaReport.Parts(
              scores,
              relevant,
              irrelevant,
              EtaStatistics.Correlation.of(relevant, scores),
              EtaStatistics.Correlation.of(irrelevant, scores));
    }
    return new EtaReport(
        captionFile,
        with.scorer == null ? "the Denscore in the jar" : with.scorer.toString(),
        used.source(),
        EtaStatistics.of(etas),
        EtaStatistics.Histogram.of(etas, bins),
        etas,
        parts);
  }

  private List<Path> pictures(int captions) {
    List<Path> files;
    try (Stream<Path> entries = Files.list(pictures)) {
      files = entries.filter(ImageFolderDataset::isPicture).sorted().toList();
    } catch (IOException e) {
      throw new LongAlignException(
          "--pictures " + pictures + ": expected a directory of pictures; " + Reasons.of(e), e);
    }
    if (files.size() != captions || captions < 2) {
      throw new LongAlignException(
          "--pictures "
              + pictures
              + ": expected a picture for each of "
              + captions
              + " captions (at least 2), found "
              + files.size());
    }
    return files;
  }

  private static void write(Path file, String text) {
    AtomicFiles.write(file, stream -> stream.write(text.getBytes(StandardCharsets.UTF_8)));
  }

  private void print(EtaReport report) {
    report.warning().ifPresent(warning -> common.say("longalign: " + warning));
    if (common.json) {
      common.printJson(report);
      return;
    }
    EtaStatistics s = report.statistics();
    common
        .out()
        .printf(
            Locale.ROOT,
            "%d captions: eta %.4f +- %.4f, from %.4f to %.4f; see %s%n",
            s.count(),
            s.mean(),
            s.standardDeviation(),
            s.min(),
            s.max(),
            out.resolve("eta.html"));
    if (report.parts() != null) {
      common
          .out()
          .printf(
              Locale.ROOT,
              "correlation with the score: text-relevant %.3f, text-irrelevant %.3f%n",
              report.parts().relevantWithScore().pearson(),
              report.parts().irrelevantWithScore().pearson());
    }
    common.out().flush();
  }
}
