package dev.longalign.benchmarks.miniature;

import com.google.gson.JsonObject;
import dev.longalign.EmbeddedModel;
import dev.longalign.scheduler.Scheduler;
import dev.longalign.training.Stage;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** How good are four steps, distilled, and distilled and rewarded? */
@Command(
    name = "lcm",
    sortOptions = false,
    description = {
      "Stage lcm from the embedded align model, then stage reward-lcm from both; four steps against"
          + " 25, and against four steps without distillation."
    })
final class LcmExperiment extends Experiment {
  private static final String ALIGN = "align";
  private static final String LCM = "lcm";
  private static final String REWARD_LCM = "reward-lcm";
  private static final int FEW = 4;

  @Option(names = "--steps", description = "Of stage lcm. Default: ${DEFAULT-VALUE}.")
  long steps = 600;

  @Option(names = "--batch", description = "Pictures in a step of lcm. Default: ${DEFAULT-VALUE}.")
  int batch = 16;

  @Option(names = "--learning-rate", description = "Of lcm. Default: ${DEFAULT-VALUE}.")
  double learningRate = 5e-5;

  @Option(names = "--warmup", description = "Steps, of both. Default: ${DEFAULT-VALUE}.")
  int warmup = 20;

  @Option(names = "--reward-steps", description = "Of reward-lcm. Default: ${DEFAULT-VALUE}.")
  long rewardSteps = 100;

  @Option(
      names = "--reward-batch",
      description = "Pictures in a step of reward-lcm. Default: ${DEFAULT-VALUE}.")
  int rewardBatch = 8;

  @Option(names = "--reward-learning-rate", description = "Default: ${DEFAULT-VALUE}.")
  double rewardLearningRate = 1e-4;

  @Option(names = "--omega", description = "Of reward-lcm. Default: ${DEFAULT-VALUE}.")
  double omega = 0.3;

  @Option(names = "--data", description = "What to train on. Default: ${DEFAULT-VALUE}.")
  String data = "panels:mixed";

  @Option(names = "--every", description = "Steps of lcm between measurements. Default: 100.")
  long every = 100;

  @Option(
      names = "--reward-every",
      description = "Steps of reward-lcm between measurements. Default: ${DEFAULT-VALUE}.")
  long rewardEvery = 25;

  @Override
  String title() {
    return "lcm";
  }

  private JsonObject lcmSettings() {
    JsonObject config = config(or(steps, 2L), or(batch, 2), learningRate, or(warmup, 0));
    config.addProperty("data", data);
    config.addProperty("guidanceScale", EmbeddedModel.GUIDANCE_SCALE);
    return config;
  }

  private JsonObject rewardSettings() {
    JsonObject config =
        config(or(rewardSteps, 2L), or(rewardBatch, 2), rewardLearningRate, or(warmup, 0));
    config.addProperty("data", data);
    config.addProperty("omega", omega);
    config.addProperty("commonDirection", "data");
    return config;
  }

  /** Four steps of LCM, which has guidance distilled. */
  private Setting few() {
    return sampled().withSampler(Scheduler.LCM, FEW, 0);
  }

  private List<Setting> before() {
    return List.of(
        sampled(),
        sampled().withSampler(Scheduler.UNIPC, FEW, EmbeddedModel.GUIDANCE_SCALE),
        few());
  }

  @Override
  void run(Judge judge) {
    RunLog lcm = open(LCM, lcmSettings());
    for (Setting setting : before()) {
      judge.measure(lcm, ALIGN, 0, Model.embeddedAlign(), setting);
    }
    new Training(lcm, Stage.LCM, threads, progress())
        .run(
            Model.embeddedAlign(),
            or(every, 1L),
            (step, trained) -> judge.measure(lcm, LCM, step, trained, few()));
    JsonObject settings = rewardSettings();
    RunLog reward = open(REWARD_LCM, settings);
    new Training(reward, Stage.REWARD_LCM, threads, progress())
        .run(
            Model.embeddedAlign().with(Training.lora(lcm.directory(), Stage.LCM)),
            or(rewardEvery, 1L),
            (step, trained) -> judge.measure(reward, REWARD_LCM, step, trained, few()));
  }

  @Override
  void report() {
    Map<String, RunLog> runs = new LinkedHashMap<>();
    for (String run : List.of(LCM, REWARD_LCM)) {
      RunLog.read(directory(run)).ifPresent(log -> runs.put(run, log));
    }
    List<Point> all = new ArrayList<>();
    List<Figure> figures = new ArrayList<>();
    Map<String, Path> rows = new LinkedHashMap<>();
    runs.forEach(
        (run, log) -> {
          all.addAll(log.points());
          List<Point> curve = log.curve(run, few());
          if (curve.isEmpty()) {
            return;
          }
          long last = curve.get(curve.size() - 1).step();
          Figure right =
              new Figure("objects right, " + run).line(run + ", 4 steps", curve, Point::accuracy);
          for (Setting setting : before()) {
            runs.get(LCM)
                .find(ALIGN, 0, setting)
                .ifPresent(point -> right.level(label(setting), point.accuracy(), last));
          }
          figures.add(right);
          figures.add(
              new Figure("Denscore, " + run)
                  .line(run, curve, p -> p.evaluation().scores().denscore()));
          if (run.equals(LCM)) {
            for (Setting setting : before()) {
              rows.put(label(setting), Judge.pictures(log.directory(), ALIGN, 0, setting));
            }
          }
          rows.put(
              run + " after " + last + " steps, LCM 4",
              Judge.pictures(log.directory(), run, last, few()));
        });
    new Report(reports, title(), "LCM: four steps against 25")
        .text(
            "From the embedded align model: stage lcm, then stage reward-lcm from align and lcm"
                + " merged. LCM samples without guidance, which is distilled.")
        .training(runs)
        .legend()
        .table(all)
        .figure("curves", "Along the training, on the held-out long captions.", figures, 2)
        .pictures("The first long held-out captions.", rows)
        .write(runs);
  }

  private static String label(Setting setting) {
    return "align, " + setting.scheduler() + " " + setting.steps();
  }
}
