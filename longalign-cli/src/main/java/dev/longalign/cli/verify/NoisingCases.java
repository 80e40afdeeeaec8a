package dev.longalign.cli.verify;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.longalign.cli.verify.VerifyCase.Body;
import dev.longalign.scheduler.ConsistencyBoundary;
import dev.longalign.scheduler.DdimSolver;
import dev.longalign.scheduler.NoiseSchedule;
import dev.longalign.scheduler.PredictionType;
import dev.longalign.scheduler.Scheduler;
import dev.longalign.scheduler.SchedulerConfig;
import dev.longalign.scheduler.WarmupLearningRate;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.IntToDoubleFunction;

/** {@code schedulers/noising}: the noise schedule and the arithmetic of the training code. */
final class NoisingCases implements CaseSource {
  private static final String AREA = "schedulers";
  private static final String PREDICTED = "pred_x0_";
  private static final String STEPS_OF_REWARD = "reward_timesteps";
  private static final int DDIM_STEPS = 50;

  private final Bench bench;
  private final Vectors vectors;

  NoisingCases(Bench bench, Vectors vectors) {
    this.bench = bench;
    this.vectors = vectors;
  }

  @Override
  public List<VerifyCase> cases() {
    Map<String, Body> known = new LinkedHashMap<>();
    known.put("betas", c -> array("betas", schedule().betas(), c));
    known.put("alphas_cumprod", c -> array("alphas_cumprod", schedule().alphasCumprod(), c));
    known.put("noisy", c -> close("noisy", schedule().addNoise(x(), noise(), timesteps()), c));
    known.put(
        "velocity", c -> close("velocity", schedule().velocity(x(), noise(), timesteps()), c));
    known.put("ddim_step", c -> close("ddim_step", solver().step(x(), noise(), timesteps()), c));
    known.put("ddim_step_is_prev", this::stepToPrevious);
    known.put("c_skip", c -> boundary("c_skip", ConsistencyBoundary.DEFAULT::cSkip, c));
    known.put("c_out", c -> boundary("c_out", ConsistencyBoundary.DEFAULT::cOut, c));
    known.put("warmup_lr", this::warmup);
    List<VerifyCase> cases = new ArrayList<>();
    List<String> names = new ArrayList<>(vectors.names());
    names.addAll(vectors.values());
    names.removeAll(List.of("sample", "noise", "timesteps"));
    for (String name : names) {
      Body body = known.get(name);
      if (name.startsWith(PREDICTED)) {
        body = c -> predictedOriginal(name, c);
      } else if (name.endsWith("_timesteps")) {
        body = c -> c.same(name, ints(name), solver(ints(name).length).timesteps());
      }
      String path = vectors.name() + "." + name;
      cases.add(
          body == null
              ? VerifyCase.skipped(AREA, path, "unknown case")
              : new VerifyCase(AREA, path, body));
    }
    return cases;
  }

  private void predictedOriginal(String name, Comparison comparison) {
    String type = name.substring(PREDICTED.length()).toUpperCase(Locale.ROOT);
    for (PredictionType prediction : PredictionType.values()) {
      if (prediction.name().equals(type)) {
        Tensor noisy = vectors.tensor(bench.backend(), "noisy");
        close(
            name,
            schedule().predictedOriginal(prediction, noise(), noisy, timesteps()),
            comparison);
        return;
      }
    }
    throw new VerifyCase.Skipped("unknown case");
  }

  /** How far back is in what the file says of the tensor: {@code timesteps - 20}. */
  private void stepToPrevious(Comparison comparison) {
    String name = "ddim_step_is_prev";
    int stride =
        Values.found("timesteps - (\\d+)", vectors.meaning(name)).stream()
            .findFirst()
            .map(Integer::parseInt)
            .orElse(solver().stride());
    int[] targets = Arrays.stream(timesteps()).map(t -> t - stride).toArray();
    close(name, solver().stepTo(x(), noise(), targets), comparison);
  }

  private void boundary(String name, IntToDoubleFunction scaling, Comparison comparison) {
    int[] timesteps = timesteps();
    float[] got = new float[timesteps.length];
    for (int i = 0; i < got.length; i++) {
      got[i] = (float) scaling.applyAsDouble(timesteps[i]);
    }
    array(name, got, comparison);
  }

  /** The warm-up's length and peak follow from the first rates and from the ones after it. */
  private void warmup(Comparison comparison) {
    JsonObject expected = vectors.value("warmup_lr").getAsJsonObject();
    JsonArray first = expected.getAsJsonArray("first");
    JsonArray after = expected.getAsJsonArray("after");
    double peak = after.get(0).getAsDouble();
    int steps = (int) Math.round(peak / first.get(1).getAsDouble());
    WarmupLearningRate rate = new WarmupLearningRate(peak, steps);
    for (int i = 0; i < first.size(); i++) {
      rate("first[" + i + "]", first.get(i), rate.at(i), comparison);
    }
    for (int i = 0; i < after.size(); i++) {
      rate("after[" + i + "]", after.get(i), rate.at(steps + i), comparison);
    }
    for (String key : expected.keySet()) {
      if (key.startsWith("at_")) {
        rate(key, expected.get(key), rate.at(Long.parseLong(key.substring(3))), comparison);
      } else if (key.equals("last_warmup")) {
        rate(key, expected.get(key), rate.at(steps - 1), comparison);
      }
    }
  }

  private static void rate(String what, JsonElement expected, double got, Comparison comparison) {
    comparison.close(what, expected.getAsDouble(), got, 1e-12 * expected.getAsDouble());
  }

  private void close(String name, Tensor got, Comparison comparison) {
    comparison.close(vectors, name, got, Comparison.F32);
  }

  private void array(String name, float[] got, Comparison comparison) {
    comparison.close(
        name,
        vectors.shape(name),
        vectors.floats(name),
        Shape.of(got.length),
        got,
        Comparison.F32,
        vectors.float64Difference(name));
  }

  private Tensor x() {
    return vectors.tensor(bench.backend(), "sample");
  }

  private Tensor noise() {
    return vectors.tensor(bench.backend(), "noise");
  }

  private int[] timesteps() {
    return ints("timesteps");
  }

  private int[] ints(String value) {
    return Values.ints(vectors.value(value));
  }

  private NoiseSchedule schedule() {
    JsonObject json = SchedulerCases.schedulerConfig(bench, vectors);
    return NoiseSchedule.of(SchedulerConfig.of(json, Scheduler.DDPM).noise());
  }

  private DdimSolver solver() {
    return solver(vectors.hasValue(STEPS_OF_REWARD) ? ints(STEPS_OF_REWARD).length : DDIM_STEPS);
  }

  private DdimSolver solver(int steps) {
    return new DdimSolver(schedule(), steps);
  }
}
