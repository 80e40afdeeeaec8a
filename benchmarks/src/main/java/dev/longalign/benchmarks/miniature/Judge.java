package dev.longalign.benchmarks.miniature;

import dev.longalign.EmbeddedModel;
import dev.longalign.LongAlign;
import dev.longalign.LongAlignException;
import dev.longalign.data.panels.Alignment;
import dev.longalign.data.panels.CaptionedScene;
import dev.longalign.evaluation.ContactSheet;
import dev.longalign.evaluation.Evaluation;
import dev.longalign.evaluation.Evaluator;
import dev.longalign.io.PictureFile;
import dev.longalign.preference.CommonDirection;
import dev.longalign.preference.PictureScorer;
import dev.longalign.preference.PreferenceModel;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * Measures models on held-out captions, always with the same common direction. What a log has
 * already is not measured again.
 */
final class Judge implements AutoCloseable {
  /** Pictures of a measurement that are kept, in one row. */
  static final int KEPT = 8;

  private final int threads;
  private final PrintWriter progress;
  private final PreferenceModel denscore;
  private final Evaluator evaluator;

  Judge(int threads, PrintWriter progress) {
    this.threads = threads;
    this.progress = progress;
    this.denscore = PreferenceModel.open(EmbeddedModel.directory().resolve("denscore"), threads);
    this.evaluator =
        Evaluator.heldOut(PictureScorer.denscore(denscore), CommonDirection.DEFAULT_OMEGA);
  }

  /** Samples the captions as the setting says, evaluates the pictures, and notes the result. */
  Point measure(RunLog log, String name, long step, Model model, Setting setting) {
    Optional<Point> known = log.find(name, step, setting);
    if (known.isPresent()) {
      return known.get();
    }
    long begin = System.nanoTime();
    List<CaptionedScene> scenes = setting.scenes();
    List<BufferedImage> pictures;
    try (LongAlign longAlign = model.open(setting.encoding(), threads)) {
      pictures =
          longAlign.sampleAll(
              scenes.stream().map(CaptionedScene::caption).toList(), setting.request(), done -> {});
    }
    Evaluation evaluation = evaluator.evaluate(pictures, scenes);
    Alignment alignment = evaluation.alignment();
    long right = Math.round(alignment.align() * alignment.objects());
    double seconds = (System.nanoTime() - begin) * 1e-9;
    Point point = new Point(name, step, setting, right, evaluation, seconds);
    Path kept = pictures(log.directory(), name, step, setting);
    try {
      Files.createDirectories(kept.getParent());
    } catch (IOException e) {
      throw new LongAlignException(kept.getParent() + ": cannot be made: " + e, e);
    }
    List<BufferedImage> first = pictures.subList(0, Math.min(KEPT, pictures.size()));
    PictureFile.writePng(kept, ContactSheet.of(first, KEPT), Map.of());
    log.add(point);
    say(point);
    return point;
  }

  private void say(Point point) {
    progress.printf(
        Locale.ROOT,
        "%s after %d steps, %d %s captions (%s, %s %d): %d of %d right, Denscore %.4f,"
            + " text-relevant %.4f, colours %.2f, edges %.2f (%.1f s)%n",
        point.model(),
        point.step(),
        point.evaluation().pictures(),
        lower(point.setting().captions()),
        lower(point.setting().encoding()),
        lower(point.setting().scheduler()),
        point.setting().steps(),
        point.right(),
        point.evaluation().alignment().objects(),
        point.evaluation().scores().denscore(),
        point.evaluation().scores().relevant(),
        point.evaluation().quality().colorDistance(),
        point.evaluation().quality().edgeDistance(),
        point.seconds());
    progress.flush();
  }

  private static String lower(Object value) {
    return value.toString().toLowerCase(Locale.ROOT);
  }

  /** Where the first pictures of a measurement are. */
  static Path pictures(Path run, String name, long step, Setting setting) {
    String file =
        String.join(
            "-",
            name,
            Long.toString(step),
            setting.captions().name(),
            Integer.toString(setting.limit()),
            setting.encoding().name(),
            setting.scheduler().name(),
            Integer.toString(setting.steps()));
    return run.resolve("pictures")
        .resolve(file.toLowerCase(Locale.ROOT).replaceAll("[^a-z0-9.]+", "-") + ".png");
  }

  @Override
  public void close() {
    denscore.close();
  }
}
