package dev.longalign.cli.verify;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import dev.longalign.model.TrainableParameter;
import dev.longalign.tensor.TensorScope;
import dev.longalign.training.Loss;
import dev.longalign.training.Optimizer;
import dev.longalign.training.Trace;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * {@code align/trajectory}: several optimiser steps one after another; every object with a learning
 * rate and losses is such a run, from the same start.
 */
final class TrajectoryCases implements CaseSource {
  private static final String FINAL = "final:";

  private final Bench bench;
  private final Vectors vectors;

  TrajectoryCases(Bench bench, Vectors vectors) {
    this.bench = bench;
    this.vectors = vectors;
  }

  @Override
  public List<VerifyCase> cases() {
    List<VerifyCase> cases = new ArrayList<>();
    for (String name : vectors.values()) {
      String path = vectors.name() + "." + name;
      if (isRun(name)) {
        cases.add(new VerifyCase("align", path, c -> run(name, c)));
      } else if (!name.equals("timesteps")) {
        cases.add(VerifyCase.skipped("align", path, "unknown case"));
      }
    }
    return cases;
  }

  private boolean isRun(String name) {
    return vectors.value(name).isJsonObject()
        && vectors.value(name).getAsJsonObject().keySet().containsAll(List.of("lr", "losses"));
  }

  private void run(String name, Comparison comparison) {
    JsonObject run = vectors.value(name).getAsJsonObject();
    TrainingChecks checks = new TrainingChecks(vectors, comparison);
    AlignStage stage = new AlignStage(vectors);
    try (TrainingSetup setup = new TrainingSetup(bench, vectors, true)) {
      List<TrainableParameter> parameters = setup.trained().parameters();
      double rate = run.get("lr").getAsDouble();
      try (Optimizer optimizer =
          new Optimizer(
              setup.autograd(), parameters, new TrainingRecipe(vectors).optimizer(rate))) {
        if (name.startsWith("zero_up")) {
          zeroUp(optimizer, parameters);
        }
        for (int i = 0; i < run.getAsJsonArray("losses").size(); i++) {
          try (TensorScope scope = TensorScope.open()) {
            Loss loss = stage.loss(setup, i, Trace.NONE);
            checks.loss(
                "loss of step " + i,
                number(run, "losses", i),
                number(run, "losses_float64", i),
                loss.value());
            optimizer.add(loss.backward(setup.autograd(), 1));
          }
          double norm = optimizer.norm();
          if (run.has("grad_norms")) {
            checks.norm("norm of step " + i, number(run, "grad_norms", i), norm);
          }
          if (name.startsWith("zero_up") && i == 0) {
            downIsUnmoved(TrainingCases.floats(optimizer.gradients()), comparison);
          }
          optimizer.step(norm, i);
        }
      }
      compare(name, run, checks, TrainingCases.values(parameters));
    }
  }

  private void compare(
      String name, JsonObject run, TrainingChecks checks, Map<String, float[]> found) {
    double rounding =
        run.has("float64_max_abs_diff_of_final")
            ? run.get("float64_max_abs_diff_of_final").getAsDouble()
            : 0;
    if (name.equals(runOfTensors())) {
      checks.parameters(FINAL, rounding, found);
    }
    if (run.has("final_digests")) {
      checks.parameters(run.getAsJsonObject("final_digests"), run, rounding, found);
    }
  }

  /** The run whose values are stored in full: the tensors say so, at their end. */
  private String runOfTensors() {
    return vectors.names().stream()
        .filter(name -> name.startsWith(FINAL))
        .flatMap(name -> Values.found(" of (\\S+)$", vectors.meaning(name)).stream())
        .findFirst()
        .orElseGet(() -> vectors.values().stream().filter(this::isRun).findFirst().orElse(""));
  }

  /** As a LoRA begins. */
  private static void zeroUp(Optimizer optimizer, List<TrainableParameter> parameters) {
    for (TrainableParameter p : parameters) {
      if (p.name().endsWith("lora_up.weight")) {
        optimizer.assign(p.value(), new float[Math.toIntExact(p.shape().size())]);
      }
    }
  }

  private static void downIsUnmoved(Map<String, float[]> gradients, Comparison comparison) {
    gradients.forEach(
        (name, gradient) -> {
          if (name.endsWith("lora_down.weight")) {
            comparison.close(
                "gradient of " + name + " where up is zero", 0, Digest.of(gradient).maxAbs(), 0);
          }
        });
  }

  private static double number(JsonObject run, String key, int i) {
    JsonArray list = run.getAsJsonArray(key);
    return list == null ? Double.NaN : list.get(i).getAsDouble();
  }
}
