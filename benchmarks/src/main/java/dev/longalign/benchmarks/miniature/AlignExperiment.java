package dev.longalign.benchmarks.miniature;

import com.google.gson.JsonObject;
import dev.longalign.pipeline.TextEncoding;
import dev.longalign.training.Stage;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Does training on long captions help, and how much of it is the segments alone? */
@Command(
    name = "align",
    sortOptions = false,
    description = {
      "Stage align from the base model and a new adapter; before: the base with captions cut at 77"
          + " tokens, and by segments."
    })
final class AlignExperiment extends Experiment {
  private static final String BASE = "base";
  private static final String TRAINED = "LongAlign";
  private static final String RUN = "align";

  @Option(names = "--steps", description = "Of training. Default: ${DEFAULT-VALUE}.")
  long steps = 1362;

  @Option(names = "--batch", description = "Pictures in a step. Default: ${DEFAULT-VALUE}.")
  int batch = 32;

  @Option(names = "--learning-rate", description = "Default: ${DEFAULT-VALUE}.")
  double learningRate = 1e-3;

  @Option(names = "--warmup", description = "Steps. Default: ${DEFAULT-VALUE}.")
  int warmup = 100;

  @Option(names = "--data", description = "What to train on. Default: ${DEFAULT-VALUE}.")
  String data = "panels:mixed";

  @Option(names = "--every", description = "Steps between measurements. Default: 200.")
  long every = 200;

  @Option(
      names = "--curve-captions",
      description = "Long captions for the measurements on the way. Default: ${DEFAULT-VALUE}.")
  int curveCaptions = 16;

  @Override
  String title() {
    return "align";
  }

  private JsonObject settings() {
    JsonObject config = config(or(steps, 4L), or(batch, 2), learningRate, or(warmup, 1));
    config.addProperty("data", data);
    config.addProperty("adapter", "new");
    config.addProperty("adapterWidth", 96);
    config.addProperty("captionDropout", 0.1);
    return config;
  }

  private Setting full(Setting.Captions kind, TextEncoding encoding) {
    Setting sampled = sampled();
    return sampled.withCaptions(kind, sampled.limit()).withEncoding(encoding);
  }

  private Setting curve() {
    Setting sampled = sampled();
    return sampled.withCaptions(
        Setting.Captions.LONG, Math.min(curveCaptions, or(curveCaptions, sampled.limit())));
  }

  @Override
  void run(Judge judge) {
    RunLog log = open(RUN, settings());
    for (Setting.Captions kind : Setting.Captions.values()) {
      for (TextEncoding encoding : List.of(TextEncoding.TRUNCATED, TextEncoding.SEGMENTS)) {
        judge.measure(log, BASE, 0, Model.BASE, full(kind, encoding));
      }
    }
    long last = or(steps, 4L);
    new Training(log, Stage.ALIGN, threads, progress())
        .run(
            Model.BASE,
            or(every, 2L),
            (step, trained) -> {
              judge.measure(log, TRAINED, step, trained, curve());
              if (step == last) {
                for (Setting.Captions kind : Setting.Captions.values()) {
                  judge.measure(log, TRAINED, step, trained, full(kind, TextEncoding.LONGALIGN));
                }
              }
            });
  }

  @Override
  void report() {
    Optional<RunLog> found = RunLog.read(directory(RUN));
    if (found.isEmpty()) {
      return;
    }
    RunLog log = found.get();
    List<Point> curve = log.curve(TRAINED, curve());
    long last = curve.isEmpty() ? 0 : curve.get(curve.size() - 1).step();
    Figure right =
        new Figure("objects right")
            .line("LongAlign, " + curve().limit() + " captions", curve, Point::accuracy);
    Map<String, Path> rows = new LinkedHashMap<>();
    for (TextEncoding encoding : List.of(TextEncoding.TRUNCATED, TextEncoding.SEGMENTS)) {
      String label = encoding == TextEncoding.TRUNCATED ? "base, cut at 77" : "base, segments";
      Setting setting = full(Setting.Captions.LONG, encoding);
      log.find(BASE, 0, setting).ifPresent(point -> right.level(label, point.accuracy(), last));
      rows.put(label, Judge.pictures(log.directory(), BASE, 0, setting));
    }
    rows.put(
        "LongAlign after " + last + " steps",
        Judge.pictures(
            log.directory(), TRAINED, last, full(Setting.Captions.LONG, TextEncoding.LONGALIGN)));
    Map<String, RunLog> runs = Map.of(RUN, log);
    new Report(reports, title(), "Align: long captions, before and after training")
        .text(
            "From the embedded base model without LoRA and a new text adapter. The base is measured"
                + " with captions cut at 77 tokens and by segments, without adapter.")
        .training(runs)
        .legend()
        .table(log.points())
        .figure(
            "curve",
            "Along the training.",
            List.of(
                right,
                new Figure("Denscore")
                    .line("LongAlign", curve, p -> p.evaluation().scores().denscore()),
                new Figure("distance to the world's colours")
                    .line("LongAlign", curve, p -> p.evaluation().quality().colorDistance()),
                new Figure("edge distance")
                    .line("LongAlign", curve, p -> p.evaluation().quality().edgeDistance())),
            2)
        .pictures("The first long held-out captions.", rows)
        .write(runs);
  }
}
