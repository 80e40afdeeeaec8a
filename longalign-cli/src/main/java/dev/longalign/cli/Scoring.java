package dev.longalign.cli;

import dev.longalign.EmbeddedModel;
import dev.longalign.LongAlignException;
import dev.longalign.Splitter;
import dev.longalign.evaluation.Evaluator;
import dev.longalign.preference.CaptionFeatures;
import dev.longalign.preference.CommonDirection;
import dev.longalign.preference.PictureBatch;
import dev.longalign.preference.PictureScore;
import dev.longalign.preference.PictureScorer;
import dev.longalign.preference.PreferenceModel;
import dev.longalign.tensor.Device;
import dev.longalign.text.SegmentSplitter;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** An open preference model with the settings of {@link ScorerOptions}. */
final class Scoring implements AutoCloseable {
  /** The calibrated direction's file beside a scorer. */
  static final String COMMON_FILE = "common_direction.safetensors";

  /** As many captions as this have a common direction of their own. */
  static final int MANY = 16;

  private final ScorerOptions options;
  private final Path directory;
  private final PreferenceModel model;
  private final PictureScorer scorer;

  /**
   * A common direction and where it is from.
   *
   * @param source for people
   */
  record Common(CommonDirection direction, String source) {}

  private Scoring(
      ScorerOptions options, Path directory, PreferenceModel model, PictureScorer scorer) {
    this.options = options;
    this.directory = directory;
    this.model = model;
    this.scorer = scorer;
  }

  /**
   * @param threads 0 for one per core
   */
  static Scoring open(ScorerOptions options, int threads) {
    return open(options, threads, Device.cpu());
  }

  /** The same on a device, if models can run there. */
  static Scoring open(ScorerOptions options, int threads, Device device) {
    if (!(options.omega >= 0 && options.omega <= 1)) {
      throw new IllegalArgumentException(
          "--omega: expected a number from 0 to 1, found " + options.omega);
    }
    Path path =
        options.scorer == null ? EmbeddedModel.directory().resolve("denscore") : options.scorer;
    Path tokenizer = options.tokenizer == null ? path : options.tokenizer;
    PreferenceModel model = PreferenceModel.open(path, tokenizer, threads, device);
    Path directory = Files.isDirectory(path) ? path : path.toAbsolutePath().getParent();
    return new Scoring(options, directory, model, scorer(options, model));
  }

  private static PictureScorer scorer(ScorerOptions options, PreferenceModel model) {
    if (options.whole) {
      return PictureScorer.whole(model);
    }
    return options.splitter == Splitter.REFERENCE
        ? PictureScorer.denscore(model)
        : PictureScorer.bySegments(
            model,
            SegmentSplitter.sentences(
                text -> model.tokenizer().encode(text).length, model.window()));
  }

  PictureScorer scorer() {
    return scorer;
  }

  double omega() {
    return options.omega;
  }

  /** With the direction asked for, else that of the held-out captions: always the same. */
  Evaluator evaluator() {
    return options.common == null
        ? Evaluator.heldOut(scorer, options.omega)
        : new Evaluator(scorer, common(List.of()).direction(), options.omega);
  }

  /** The direction asked for, else one that is at hand; of {@code captions} if they are many. */
  Common common(List<CaptionFeatures> captions) {
    Path beside = directory.resolve(COMMON_FILE);
    Path file = options.common == null && Files.isRegularFile(beside) ? beside : options.common;
    if (file != null) {
      CommonDirection read = CommonDirection.read(file);
      if (read.vector().length != model.width()) {
        throw new LongAlignException(
            file
                + ": expected a direction of width "
                + model.width()
                + ", found "
                + read.vector().length
                + "; it belongs to another preference model");
      }
      return new Common(read, file.toString());
    }
    long distinct = captions.stream().map(CaptionFeatures::caption).distinct().count();
    if (distinct >= MANY) {
      return new Common(
          CommonDirection.of(PictureScorer.texts(captions)), distinct + " captions given");
    }
    List<String> own = list(options.scorer == null ? "captions-panels.txt" : "captions.txt");
    return new Common(
        CommonDirection.of(PictureScorer.texts(scorer.captions(own))),
        own.size() + " captions in the jar");
  }

  /** Where the caption was scored as a whole, its sentences are scored for themselves. */
  PictureScore score(BufferedImage picture, CaptionFeatures caption, CommonDirection common) {
    float[] image = scorer.images(PictureBatch.of(picture)).row(0);
    PictureScore score = PictureScorer.score(image, caption, common, options.omega);
    if (!options.whole) {
      return score;
    }
    CaptionFeatures sentences = PictureScorer.denscore(model).caption(caption.caption());
    return new PictureScore(
        score.score(),
        score.reweighted(),
        score.relevant(),
        score.irrelevant(),
        score.eta(),
        PictureScorer.score(image, sentences, common, options.omega).sentences());
  }

  private static List<String> list(String name) {
    try (InputStream in = Scoring.class.getResourceAsStream(name)) {
      if (in == null) {
        throw new LongAlignException(name + ": not in the jar, which is not whole");
      }
      return new String(in.readAllBytes(), StandardCharsets.UTF_8).lines().toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Override
  public void close() {
    model.close();
  }
}
