package dev.longalign.cli;

import dev.longalign.LongAlign;
import dev.longalign.LongAlignException;
import dev.longalign.Provenance;
import dev.longalign.SampleRequest;
import dev.longalign.SampleRequestBuilder;
import dev.longalign.data.panels.Alignment;
import dev.longalign.data.panels.CaptionedScene;
import dev.longalign.data.panels.HeldOut;
import dev.longalign.data.panels.PanelObject;
import dev.longalign.data.panels.PanelsReader;
import dev.longalign.data.panels.PanelsWorld;
import dev.longalign.data.panels.PictureQuality;
import dev.longalign.data.panels.Scene;
import dev.longalign.evaluation.ContactSheet;
import dev.longalign.evaluation.Evaluation;
import dev.longalign.io.PictureFile;
import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.image.BufferedImage;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code longalign evaluate}: how good a model of the panels world is. */
@Command(
    name = "evaluate",
    sortOptions = false,
    abbreviateSynopsis = true,
    description = {
      "Samples captions of the panels world that the model in the jar was not trained on, and says"
          + " how many objects are right in place, colour and shape, what a preference model thinks"
          + " of the pictures, and how they differ from real renders."
    },
    footer = {
      "",
      "One generator draws the noise of all pictures, so numbers can be repeated and compared.",
      "",
      "Examples:",
      "  longalign evaluate",
      "  longalign evaluate --no-own-lora --encoding truncated",
      "  longalign evaluate --lora run/export/lora_vis.pt --adapter run/export/adapter \\",
      "      --captions short --pictures pictures",
      "  longalign evaluate --renders"
    })
final class EvaluateCommand implements Callable<Integer> {
  private static final int COLUMNS = 8;

  @Mixin CommonOptions common;

  @Option(
      names = "--captions",
      paramLabel = "long|short|FILE",
      defaultValue = "long",
      description =
          "The held-out captions in the jar, or a JSON list of"
              + " {\"caption\": ..., \"scene\": {...}}. Default: long.")
  String captions;

  @Option(names = "--limit", paramLabel = "N", description = "Only the first N captions.")
  Integer limit;

  @Option(names = "--renders", description = "Evaluate real renders: the best there can be.")
  boolean renders;

  @Option(
      names = "--pictures",
      paramLabel = "DIR",
      description =
          "Keep the pictures here, each with its caption inside, and a contact sheet on which"
              + " what is wrong in shape or colour is framed in red.")
  Path pictures;

  @ArgGroup(validate = false, heading = "How:%n")
  SamplerOptions how = new SamplerOptions();

  @ArgGroup(validate = false, heading = "With:%n")
  EngineOptions with = new EngineOptions();

  @ArgGroup(validate = false, heading = "Scored by:%n")
  ScorerOptions scorer = new ScorerOptions();

  /**
   * What {@code --json} prints.
   *
   * @param sampling null for renders
   * @param right objects whose shape and colour are right in the right cell
   */
  record Report(
      String captions, Sampled sampling, double seconds, long right, Evaluation evaluation) {}

  /** How the pictures were made. */
  record Sampled(
      String scheduler,
      int steps,
      float guidanceScale,
      long seed,
      String encoding,
      Provenance provenance) {}

  private record Made(List<BufferedImage> pictures, Sampled sampling) {}

  @Override
  public Integer call() {
    List<CaptionedScene> scenes = scenes();
    long begin = System.nanoTime();
    Made made;
    try (Signals.Work work = common.interruptible()) {
      made = renders ? rendered(scenes) : sampled(scenes);
    }
    double seconds = (System.nanoTime() - begin) * 1e-9;
    common.stage("scoring");
    try (Signals.Work work = common.interruptible();
        Scoring scoring = Scoring.open(scorer, with.on.threads, with.on.device)) {
      Evaluation evaluation = scoring.evaluator().evaluate(made.pictures, scenes);
      if (pictures != null) {
        keep(made.pictures, scenes);
      }
      Alignment alignment = evaluation.alignment();
      long right = Math.round(alignment.align() * alignment.objects());
      report(new Report(captions, made.sampling, seconds, right, evaluation));
    }
    return ExitCode.OK;
  }

  private List<CaptionedScene> scenes() {
    List<CaptionedScene> all =
        switch (captions) {
          case "long" -> HeldOut.longCaptions();
          case "short" -> HeldOut.shortCaptions();
          default -> CaptionedScene.read(Path.of(captions));
        };
    if (all.isEmpty()) {
      throw new LongAlignException(
          "--captions " + captions + ": expected captioned scenes, found an empty list");
    }
    if (limit != null && limit < 1) {
      throw new IllegalArgumentException("--limit: expected at least 1, found " + limit);
    }
    return limit == null ? all : all.subList(0, Math.min(limit, all.size()));
  }

  private static Made rendered(List<CaptionedScene> scenes) {
    return new Made(
        scenes.stream().map(scene -> PanelsWorld.render(scene.scene()).toBufferedImage()).toList(),
        null);
  }

  private Made sampled(List<CaptionedScene> scenes) {
    SampleRequestBuilder builder = SampleRequest.builder();
    how.apply(builder);
    try (LongAlign longAlign = with.open(common);
        Progress progress = common.progress("sampling", scenes.size())) {
      if (longAlign.nativeSize() != PanelsWorld.SIDE) {
        builder.size(PanelsWorld.SIDE, PanelsWorld.SIDE);
      }
      SampleRequest settings = longAlign.resolve(builder.build());
      List<BufferedImage> made =
          longAlign.sampleAll(
              scenes.stream().map(CaptionedScene::caption).toList(),
              settings,
              done -> {
                common.check();
                progress.stepTo(done);
              });
      return new Made(
          made,
          new Sampled(
              settings.scheduler().orElseThrow().toString(),
              settings.steps().orElseThrow(),
              settings.guidanceScale().orElseThrow(),
              settings.seeds().get(0),
              longAlign.textEncoding().name().toLowerCase(Locale.ROOT),
              longAlign.provenance()));
    }
  }

  /** The caption travels in every picture. */
  private void keep(List<BufferedImage> made, List<CaptionedScene> scenes) {
    OutputTarget target = OutputTarget.of(pictures.toString(), true, made.size());
    for (int i = 0; i < made.size(); i++) {
      PictureFile.writePng(
          target.file(i), made.get(i), Map.of("Description", scenes.get(i).caption()));
    }
    List<BufferedImage> judged =
        IntStream.range(0, made.size())
            .mapToObj(i -> judged(made.get(i), scenes.get(i).scene()))
            .toList();
    PictureFile.writePng(
        pictures.resolve("contact-sheet.png"), ContactSheet.of(judged, COLUMNS), Map.of());
  }

  /** A copy in which every cell that does not show what was asked for has a red frame. */
  private static BufferedImage judged(BufferedImage picture, Scene asked) {
    BufferedImage copy =
        new BufferedImage(picture.getWidth(), picture.getHeight(), BufferedImage.TYPE_INT_RGB);
    Graphics2D graphics = copy.createGraphics();
    graphics.drawImage(picture, 0, 0, null);
    graphics.setColor(Color.RED);
    List<Optional<PanelObject>> found = PanelsReader.read(picture).cells();
    int across = PanelsWorld.SIDE / PanelsWorld.CELL;
    for (int cell = 0; cell < found.size(); cell++) {
      Optional<PanelObject> wanted = asked.cells().get(cell);
      if (!found.get(cell).map(EvaluateCommand::kind).equals(wanted.map(EvaluateCommand::kind))) {
        int x = cell % across * PanelsWorld.CELL;
        int y = cell / across * PanelsWorld.CELL;
        graphics.drawRect(x, y, PanelsWorld.CELL - 1, PanelsWorld.CELL - 1);
      }
    }
    graphics.dispose();
    return copy;
  }

  /** What counts as right, whatever the size. */
  private static List<Integer> kind(PanelObject object) {
    return List.of(object.shape(), object.color());
  }

  private void report(Report report) {
    if (common.json) {
      common.printJson(report);
      return;
    }
    Evaluation found = report.evaluation();
    Alignment alignment = found.alignment();
    Evaluation.Scores scores = found.scores();
    PictureQuality quality = found.quality();
    line("pictures", found.pictures() + " (" + report.captions() + "), " + made(report));
    line(
        "objects right",
        report.right() + " of " + alignment.objects() + " (" + percent(alignment.align()) + ")");
    line("  in colour", percent(alignment.color()));
    line("  in shape", percent(alignment.shape()));
    line("  in size", percent(alignment.size()));
    line("empty cells", percent(alignment.empty()));
    line("backgrounds", percent(alignment.background()));
    line("Denscore", score(scores.denscore()));
    line("Denscore-O", score(scores.denscoreO()) + "  (omega " + scores.omega() + ")");
    line("text-relevant", score(scores.relevant()));
    line("text-irrelevant", score(scores.irrelevant()));
    line(
        "colour distance",
        levels(quality.colorDistance())
            + " levels (renders "
            + levels(quality.colorDistanceOfRenders())
            + ")");
    line("edge distance", levels(quality.edgeDistance()) + " levels a pixel");
    line("saturation", signed(quality.saturationDrift()) + " levels against renders");
    line("contrast", signed(quality.contrastDrift()) + " levels against renders");
    common.out().flush();
  }

  private static String made(Report report) {
    Sampled sampled = report.sampling();
    return sampled == null
        ? "rendered"
        : String.format(
            Locale.ROOT,
            "%s, %s %d steps, guidance %s, seed %d, %.1f s",
            sampled.encoding(),
            sampled.scheduler(),
            sampled.steps(),
            sampled.guidanceScale(),
            sampled.seed(),
            report.seconds());
  }

  private void line(String name, String value) {
    PrintWriter out = common.out();
    out.printf(Locale.ROOT, "%-16s %s%n", name, value);
  }

  private static String percent(double fraction) {
    return String.format(Locale.ROOT, "%.1f %%", 100 * fraction);
  }

  private static String score(double value) {
    return String.format(Locale.ROOT, "%.4f", value);
  }

  private static String levels(double value) {
    return String.format(Locale.ROOT, "%.2f", value);
  }

  private static String signed(double value) {
    return String.format(Locale.ROOT, "%+.2f", value);
  }
}
