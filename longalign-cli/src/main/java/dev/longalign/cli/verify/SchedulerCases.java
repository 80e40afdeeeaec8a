package dev.longalign.cli.verify;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import dev.longalign.LongAlignException;
import dev.longalign.scheduler.ConsistencyBoundary;
import dev.longalign.scheduler.NoiseSchedule;
import dev.longalign.scheduler.Scheduler;
import dev.longalign.scheduler.SchedulerConfig;
import dev.longalign.scheduler.SchedulerConfig.Consistency;
import dev.longalign.scheduler.SchedulerConfig.FinalSigma;
import dev.longalign.scheduler.SchedulerRun;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/**
 * {@code schedulers/schedulers}: trajectories on the synthetic network {@code 0.1 x + sin(0.01 t)
 * c}. A name is {@code METHOD_PREDICTION_...}; its config is among the values, or it is that of the
 * model's {@code scheduler_config.json}.
 */
final class SchedulerCases implements CaseSource {
  private static final String AREA = "schedulers";
  private static final List<String> INPUTS = List.of("init", "c", "noises");

  private final Bench bench;
  private final Vectors vectors;

  SchedulerCases(Bench bench, Vectors vectors) {
    this.bench = bench;
    this.vectors = vectors;
  }

  /** One trajectory: a sampler, its config and how many steps. */
  private record Trajectory(
      String stem, Scheduler scheduler, SchedulerConfig config, int steps, boolean stock) {}

  @Override
  public List<VerifyCase> cases() {
    List<VerifyCase> cases = new ArrayList<>();
    for (String name : vectors.names()) {
      if (INPUTS.contains(name)) {
        continue;
      }
      String stem = name.replaceAll("_(sigmas|prev|denoised)$", "");
      String what = name.substring(stem.length());
      cases.add(of(name, c -> check(stem, what, c)));
    }
    for (String value : vectors.values()) {
      String stem = value.replaceAll("_(timesteps|scalings|config)$", "");
      String what = value.substring(stem.length());
      if (!what.equals("_config")) {
        cases.add(of(value, c -> checkValue(stem, what, c)));
      }
    }
    return cases;
  }

  private VerifyCase of(String name, VerifyCase.Body body) {
    return new VerifyCase(AREA, vectors.name() + "." + name, body);
  }

  private void check(String stem, String what, Comparison comparison) {
    Trajectory trajectory = trajectory(stem);
    if (what.equals("_sigmas")) {
      sigmas(trajectory, comparison);
    } else {
      walk(trajectory, stem + what, what.equals("_denoised"), comparison);
    }
  }

  private void checkValue(String stem, String what, Comparison comparison) {
    Trajectory trajectory = trajectory(stem);
    switch (what) {
      case "_timesteps" -> {
        float[] expected = Values.floats(vectors.value(stem + what), 0);
        try (SchedulerRun run = start(trajectory)) {
          Shape shape = Shape.of(expected.length);
          float[] got = run.timesteps();
          comparison.close(stem + what, shape, expected, Shape.of(got.length), got, 1e-6, 0);
        }
      }
      case "_scalings" ->
          scalings(trajectory, vectors.value(stem + what).getAsJsonArray(), comparison);
      default -> throw new VerifyCase.Skipped("unknown case");
    }
  }

  private Trajectory trajectory(String stem) {
    Map<String, Scheduler> byName = new TreeMap<>();
    for (Scheduler scheduler : Scheduler.values()) {
      byName.put(scheduler.name().toLowerCase(Locale.ROOT), scheduler);
    }
    String method =
        byName.keySet().stream()
            .filter(name -> stem.startsWith(name + "_"))
            .reduce((shorter, longer) -> longer.length() > shorter.length() ? longer : shorter)
            .orElseThrow(() -> new VerifyCase.Skipped("unknown case"));
    Scheduler scheduler = byName.get(method);
    boolean stock = stem.contains("_stock_");
    SchedulerConfig config = SchedulerConfig.of(json(stem, method), scheduler);
    if (scheduler == Scheduler.LCM) {
      Consistency given = config.consistency();
      config =
          config.withConsistency(
              new Consistency(given.originalInferenceSteps(), given.timestepScaling(), stock));
    }
    return new Trajectory(stem, scheduler, config, steps(stem), stock);
  }

  private JsonObject json(String stem, String method) {
    if (vectors.hasValue(stem + "_config")) {
      return vectors.value(stem + "_config").getAsJsonObject();
    }
    JsonObject json = schedulerConfig(bench, vectors);
    for (String prediction : List.of("v_prediction", "epsilon", "sample")) {
      if (stem.startsWith(method + "_" + prediction + "_")) {
        json.addProperty("prediction_type", prediction);
      }
    }
    return json;
  }

  /** The model's scheduler_config.json. */
  static JsonObject schedulerConfig(Bench bench, Vectors vectors) {
    return Values.readConfig(
        bench.model(vectors).resolve("scheduler").resolve("scheduler_config.json"));
  }

  private int steps(String stem) {
    for (String suffix : List.of("", "_prev", "_denoised")) {
      if (vectors.has(stem + suffix)) {
        return vectors.shape(stem + suffix).intDim(0);
      }
    }
    if (vectors.hasValue(stem + "_timesteps")) {
      return vectors.value(stem + "_timesteps").getAsJsonArray().size();
    }
    throw new VerifyCase.Skipped("unknown case");
  }

  private static SchedulerRun start(Trajectory trajectory) {
    return trajectory.scheduler().start(trajectory.config(), trajectory.steps());
  }

  private void walk(Trajectory trajectory, String name, boolean denoised, Comparison comparison) {
    int steps = trajectory.steps();
    try (SchedulerRun run = start(trajectory)) {
      Tensor x = vectors.tensor(bench.backend(), "init").scale(run.initNoiseSigma());
      for (int i = 0; i < steps; i++) {
        int step = i;
        Tensor output = network(run.scaleModelInput(x, i), run.timestep(i));
        Tensor original = denoised ? denoised(trajectory, run, i, output, x) : null;
        x = run.step(i, output, x, () -> noise(step));
        Tensor got = denoised ? original : x;
        comparison.close(
            name + ", step " + i,
            vectors.rowShape(name),
            vectors.row(name, i),
            got.shape(),
            got.toFloats(),
            Comparison.F32,
            vectors.float64Difference(name));
      }
    }
  }

  private static Tensor denoised(
      Trajectory trajectory, SchedulerRun run, int i, Tensor output, Tensor x) {
    Tensor original = run.predictedOriginal(i, output, x);
    if (!trajectory.stock()) {
      return original;
    }
    ConsistencyBoundary boundary = boundary(trajectory);
    int t = (int) run.timestep(i);
    return Tensor.linearCombination(
        new float[] {(float) boundary.cSkip(t), (float) boundary.cOut(t)}, x, original);
  }

  private static ConsistencyBoundary boundary(Trajectory trajectory) {
    return new ConsistencyBoundary(
        ConsistencyBoundary.DEFAULT.sigmaData(),
        trajectory.config().consistency().timestepScaling());
  }

  private Tensor network(Tensor x, float timestep) {
    return Tensor.linearCombination(
        new float[] {0.1f, (float) Math.sin(0.01 * timestep)},
        x,
        vectors.tensor(bench.backend(), "c"));
  }

  private Tensor noise(int step) {
    if (!vectors.has("noises")) {
      throw new LongAlignException(vectors.name() + ": step " + step + " needs noise, found none");
    }
    return Tensor.of(bench.backend(), vectors.rowShape("noises"), vectors.row("noises", step));
  }

  /**
   * Noise over signal before every step, from what the scheduler adds to a picture; then the last.
   */
  private void sigmas(Trajectory trajectory, Comparison comparison) {
    String name = trajectory.stem() + "_sigmas";
    float[] got = new float[trajectory.steps() + 1];
    Tensor zero = Tensor.of(bench.backend(), Shape.of(1), 0);
    Tensor one = Tensor.of(bench.backend(), Shape.of(1), 1);
    try (SchedulerRun run = start(trajectory)) {
      for (int i = 0; i < trajectory.steps(); i++) {
        got[i] =
            run.addNoise(zero, one, i).toFloats()[0] / run.addNoise(one, zero, i).toFloats()[0];
      }
    }
    if (trajectory.config().finalSigma() == FinalSigma.SIGMA_MIN) {
      got[trajectory.steps()] = NoiseSchedule.of(trajectory.config().noise()).sigmas()[0];
    }
    float[] expected = vectors.floats(name);
    for (int i = 0; i < Math.min(expected.length, got.length); i++) {
      comparison.close(
          name + "[" + i + "]", expected[i], got[i], Comparison.F32 * Math.abs(expected[i]));
    }
    comparison.same("number of sigmas", expected.length, got.length);
  }

  private void scalings(Trajectory trajectory, JsonArray expected, Comparison comparison) {
    ConsistencyBoundary boundary = boundary(trajectory);
    try (SchedulerRun run = start(trajectory)) {
      comparison.same("number of scalings", expected.size(), run.steps());
      for (int i = 0; i < Math.min(expected.size(), run.steps()); i++) {
        int t = (int) run.timestep(i);
        double[] got = {boundary.cSkip(t), boundary.cOut(t)};
        for (int j = 0; j < got.length; j++) {
          double wanted = expected.get(i).getAsJsonArray().get(j).getAsDouble();
          comparison.close(
              (j == 0 ? "c_skip[" : "c_out[") + i + "]", wanted, got[j], Comparison.F32 * wanted);
        }
      }
    }
  }
}
