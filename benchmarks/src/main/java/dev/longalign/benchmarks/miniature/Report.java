package dev.longalign.benchmarks.miniature;

import com.google.gson.JsonObject;
import dev.longalign.LongAlignException;
import dev.longalign.evaluation.ContactSheet;
import dev.longalign.evaluation.Evaluation;
import dev.longalign.io.AtomicFiles;
import dev.longalign.io.PictureFile;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** What an experiment leaves for readers: JSON, a page of Markdown, figures. */
final class Report {
  private static final String HEAD =
      "| model | steps | captions | sampling | right | Denscore | Denscore-O | text-relevant |"
          + " text-irrelevant | colours (renders) | edges | saturation | contrast |\n"
          + "|---|--:|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";

  private final Path directory;
  private final String name;
  private final StringBuilder page = new StringBuilder();

  /**
   * @param directory made if need be
   * @param name of the experiment; files begin with it
   */
  Report(Path directory, String name, String title) {
    this.directory = directory;
    this.name = name;
    try {
      Files.createDirectories(directory);
    } catch (IOException e) {
      throw new LongAlignException(directory + ": cannot be made: " + e, e);
    }
    page.append("# ").append(title).append("\n\n");
  }

  Report text(String paragraph) {
    page.append(paragraph).append("\n\n");
    return this;
  }

  /** What the columns of {@link #table} mean. */
  Report legend() {
    return text(
        "Objects are right whose shape and colour are right in the right cell. Scores are means"
            + " over the pictures; the common direction is that of all 128 held-out captions."
            + " Colours: mean distance of a pixel to the nearest colour of the world, in levels of"
            + " 255, and that of renders of what the pictures show. Edges: Wasserstein-1 distance"
            + " between the distributions of gradient magnitudes of pictures and renders, in levels"
            + " a pixel. Saturation and contrast: against renders, in levels.");
  }

  Report table(List<Point> points) {
    page.append(HEAD);
    for (Point point : points) {
      Evaluation e = point.evaluation();
      Setting s = point.setting();
      page.append(
          String.format(
              Locale.ROOT,
              "| %s | %d | %d %s, %s | %s %d, guidance %s | %d of %d (%.1f %%) | %.4f | %.4f | %.4f"
                  + " | %.4f | %.2f (%.2f) | %.2f | %+.2f | %+.2f |%n",
              point.model(),
              point.step(),
              e.pictures(),
              lower(s.captions()),
              lower(s.encoding()),
              lower(s.scheduler()),
              s.steps(),
              Float.toString(s.guidanceScale()),
              point.right(),
              e.alignment().objects(),
              100 * point.accuracy(),
              e.scores().denscore(),
              e.scores().denscoreO(),
              e.scores().relevant(),
              e.scores().irrelevant(),
              e.quality().colorDistance(),
              e.quality().colorDistanceOfRenders(),
              e.quality().edgeDistance(),
              e.quality().saturationDrift(),
              e.quality().contrastDrift()));
    }
    page.append('\n');
    return this;
  }

  private static String lower(Enum<?> value) {
    return value.name().toLowerCase(Locale.ROOT);
  }

  /** Training's settings, losses and time, a run a line. */
  Report training(Map<String, RunLog> runs) {
    page.append("| run | trained | mean loss, first and last stretch | time | settings |\n");
    page.append("|---|---|---|--:|---|\n");
    runs.forEach(
        (run, log) -> {
          List<RunLog.Stretch> stretches = log.training();
          if (!stretches.isEmpty()) {
            RunLog.Stretch first = stretches.get(0);
            RunLog.Stretch last = stretches.get(stretches.size() - 1);
            double seconds = stretches.stream().mapToDouble(RunLog.Stretch::seconds).sum();
            page.append(
                String.format(
                    Locale.ROOT,
                    "| %s | %d steps | %.5f, %.5f | %.1f min with %s | `%s` |%n",
                    run,
                    last.to(),
                    first.loss(),
                    last.loss(),
                    seconds / 60,
                    log.threads() == 0 ? "all cores" : log.threads() + " thread(s)",
                    log.settings()));
          }
        });
    page.append('\n');
    return this;
  }

  /** Several charts in one picture. */
  Report figure(String suffix, String caption, List<Figure> charts, int columns) {
    String file = name + "-" + suffix + ".png";
    if (!Figure.write(directory.resolve(file), charts, columns)) {
      return this;
    }
    return text("![" + caption + "](" + file + ")").text("*" + caption + "*");
  }

  /**
   * The first pictures of measurements, a row each.
   *
   * @param rows from what they are to their file; those that are not there are left out
   */
  Report pictures(String intro, Map<String, Path> rows) {
    List<BufferedImage> strips = new ArrayList<>();
    List<String> names = new ArrayList<>();
    rows.forEach(
        (row, file) -> {
          if (Files.isRegularFile(file)) {
            strips.add(PictureFile.readRgb(file));
            names.add(row);
          }
        });
    if (strips.isEmpty()) {
      return this;
    }
    String file = name + "-pictures.png";
    PictureFile.writePng(directory.resolve(file), ContactSheet.of(strips, 1), Map.of());
    String caption = intro + " From top to bottom: " + String.join("; ", names) + ".";
    return text("![" + caption + "](" + file + ")").text("*" + caption + "*");
  }

  /** Writes the page and the JSON with everything that was measured. */
  void write(Map<String, RunLog> runs) {
    JsonObject json = new JsonObject();
    runs.forEach((run, log) -> json.add(run, log.json()));
    write(name + ".json", RunLog.GSON.toJson(json) + "\n");
    write(name + ".md", page.toString().stripTrailing() + "\n");
  }

  private void write(String file, String text) {
    AtomicFiles.write(
        directory.resolve(file), out -> out.write(text.getBytes(StandardCharsets.UTF_8)));
  }
}
