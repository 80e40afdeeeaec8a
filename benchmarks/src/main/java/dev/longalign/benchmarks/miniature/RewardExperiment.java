package dev.longalign.benchmarks.miniature;

import com.google.gson.JsonObject;
import dev.longalign.EmbeddedModel;
import dev.longalign.training.Stage;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.ToDoubleFunction;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Does reweighting the text-irrelevant part of the score reduce overfitting to it? */
@Command(
    name = "reward",
    sortOptions = false,
    description = {
      "Stage reward from the embedded align model, once for each omega, with the same seed;"
          + " measured along the way. Give one omega a process to run them side by side."
    })
final class RewardExperiment extends Experiment {
  private static final String PREFIX = "omega-";

  @Option(
      names = "--omega",
      split = ",",
      description = "How much of the text-irrelevant part stays. Default: 1,0.3,0.")
  List<Double> omegas = new ArrayList<>(List.of(1.0, 0.3, 0.0));

  @Option(names = "--steps", description = "Of training. Default: ${DEFAULT-VALUE}.")
  long steps = 200;

  @Option(names = "--batch", description = "Pictures in a step. Default: ${DEFAULT-VALUE}.")
  int batch = 4;

  @Option(names = "--learning-rate", description = "Default: ${DEFAULT-VALUE}.")
  double learningRate = 2e-4;

  @Option(names = "--warmup", description = "Steps. Default: ${DEFAULT-VALUE}.")
  int warmup = 10;

  @Option(
      names = "--sampling-steps",
      description = "DDIM steps of a picture in training. Default: ${DEFAULT-VALUE}.")
  int samplingSteps = 25;

  @Option(
      names = "--differentiate-every",
      description = "Which of them are differentiated. Default: every ${DEFAULT-VALUE}th.")
  int differentiated = 5;

  @Option(names = "--data", description = "What to train on. Default: ${DEFAULT-VALUE}.")
  String data = "panels:mixed";

  @Option(names = "--every", description = "Steps between measurements. Default: 40.")
  long every = 40;

  @Override
  String title() {
    return "reward";
  }

  private JsonObject settings(double omega) {
    JsonObject config = config(or(steps, 2L), or(batch, 2), learningRate, or(warmup, 0));
    config.addProperty("data", data);
    config.addProperty("omega", omega);
    config.addProperty("commonDirection", "data");
    config.addProperty("guidanceScale", EmbeddedModel.GUIDANCE_SCALE);
    config.addProperty("samplingSteps", or(samplingSteps, 4));
    config.addProperty("every", or(differentiated, 2));
    return config;
  }

  private static String name(double omega) {
    return PREFIX + omega;
  }

  @Override
  void run(Judge judge) {
    for (double omega : omegas) {
      String name = name(omega);
      RunLog log = open(name, settings(omega));
      new Training(log, Stage.REWARD, threads, progress())
          .run(
              Model.embeddedAlign(),
              or(every, 1L),
              (step, trained) -> judge.measure(log, name, step, trained, sampled()));
    }
  }

  @Override
  void report() {
    Map<String, RunLog> runs = new TreeMap<>();
    for (double omega : omegas) {
      RunLog.read(directory(name(omega))).ifPresent(log -> runs.put(name(omega), log));
    }
    Map<String, Path> rows = new LinkedHashMap<>();
    List<Point> all = new ArrayList<>();
    runs.forEach(
        (name, log) -> {
          List<Point> curve = log.curve(name, sampled());
          all.addAll(curve);
          if (!curve.isEmpty()) {
            rows.putIfAbsent("before", Judge.pictures(log.directory(), name, 0, sampled()));
            long last = curve.get(curve.size() - 1).step();
            rows.put(
                name + " after " + last + " steps",
                Judge.pictures(log.directory(), name, last, sampled()));
          }
        });
    new Report(reports, title(), "Reward: how much of the text-irrelevant part")
        .text(
            "From the embedded align model. omega is the share of the text-irrelevant part that"
                + " stays in the reward: 1 is Denscore as it is, 0 leaves the text-relevant part"
                + " alone. Denscore-O here is always that of omega 0.3.")
        .training(runs)
        .legend()
        .table(all)
        .figure(
            "curves",
            "Along the training, on the held-out long captions.",
            List.of(
                chart("Denscore", runs, p -> p.evaluation().scores().denscore()),
                chart("Denscore-O", runs, p -> p.evaluation().scores().denscoreO()),
                chart("text-relevant part", runs, p -> p.evaluation().scores().relevant()),
                chart("text-irrelevant part", runs, p -> p.evaluation().scores().irrelevant()),
                chart("objects right", runs, Point::accuracy),
                chart(
                    "distance to the world's colours",
                    runs,
                    p -> p.evaluation().quality().colorDistance()),
                chart("edge distance", runs, p -> p.evaluation().quality().edgeDistance()),
                chart(
                    "saturation against renders",
                    runs,
                    p -> p.evaluation().quality().saturationDrift())),
            2)
        .pictures("The first long held-out captions.", rows)
        .write(runs);
  }

  private Figure chart(String title, Map<String, RunLog> runs, ToDoubleFunction<Point> measure) {
    Figure figure = new Figure(title);
    runs.forEach((name, log) -> figure.line(name, log.curve(name, sampled()), measure));
    return figure;
  }
}
