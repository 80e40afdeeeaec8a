package dev.longalign.cli.verify;

import com.google.gson.JsonArray;
import dev.longalign.scheduler.ConsistencyBoundary;
import dev.longalign.scheduler.DdimSolver;
import dev.longalign.scheduler.PredictionType;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Tensor;
import dev.longalign.training.LcmObjective;
import dev.longalign.training.Loss;
import dev.longalign.training.StepInputs;
import dev.longalign.training.Trace;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.function.UnaryOperator;

/** {@code lcm/}: the student learns to skip a guided step of the teacher. */
final class LcmStage implements TrainingCases.Stage {
  private final Vectors vectors;
  private final TrainingRecipe recipe;

  LcmStage(Vectors vectors) {
    this.vectors = vectors;
    this.recipe = new TrainingRecipe(vectors);
  }

  @Override
  public boolean trainsAdapter() {
    return false;
  }

  @Override
  public int microBatches() {
    return 1;
  }

  @Override
  public Loss loss(TrainingSetup setup, int microBatch, Trace trace) {
    LcmObjective.Settings d = LcmObjective.Settings.DEFAULT;
    LcmObjective.Settings settings =
        new LcmObjective.Settings(
            predictionType(vectors),
            recipe.guidanceScale(),
            setup.schedule().size() / recipe.stride(),
            d.firstTimestep(),
            recipe.huber());
    Vectors inputs = vectors.inputs();
    Backend backend = setup.autograd();
    return new LcmObjective<Void>(
            setup.autograd(),
            setup.unet(),
            setup.teacher(),
            UnaryOperator.identity(),
            setup.schedule(),
            null,
            settings)
        .loss(
            new StepInputs(
                List.of(vectors.name()),
                Map.of(
                    "latents", inputs.nhwc(backend, "latents"),
                    "noise", inputs.nhwc(backend, "noise"),
                    "context", inputs.tensor(backend, "context"),
                    "unconditional", inputs.tensor(backend, "unconditional")),
                Map.of("timesteps", start())),
            trace);
  }

  private int[] start() {
    return Values.ints(vectors.value("start_timesteps"));
  }

  /** As a value or in the title. */
  static PredictionType predictionType(Vectors vectors) {
    String said =
        vectors.hasValue("prediction_type")
            ? vectors.value("prediction_type").getAsString()
            : vectors.name() + " " + vectors.json().get("title");
    return said.toLowerCase(Locale.ROOT).contains("v_prediction")
        ? PredictionType.V_PREDICTION
        : PredictionType.EPSILON;
  }

  @Override
  public Map<Set<String>, VerifyCase.Body> more(TrainingCases cases) {
    Map<Set<String>, VerifyCase.Body> more = new LinkedHashMap<>();
    more.put(Set.of("end_timesteps"), c -> ends(cases.setup(), c));
    more.put(Set.of("scalings"), this::scalings);
    more.put(Set.of("loss_l2"), c -> squared(cases, c));
    return more;
  }

  private int[] end(TrainingSetup setup) {
    DdimSolver solver = new DdimSolver(setup.schedule(), setup.schedule().size() / recipe.stride());
    int[] end = start();
    for (int i = 0; i < end.length; i++) {
      end[i] = solver.previous(end[i]);
    }
    return end;
  }

  private void ends(TrainingSetup setup, Comparison comparison) {
    comparison.same("end_timesteps", Values.ints(vectors.value("end_timesteps")), end(setup));
  }

  /** [cSkip, cOut] of every start, then of every end. */
  private void scalings(Comparison comparison) {
    JsonArray expected = vectors.value("scalings").getAsJsonArray();
    JsonArray timesteps = new JsonArray();
    timesteps.addAll(vectors.value("start_timesteps").getAsJsonArray());
    timesteps.addAll(vectors.value("end_timesteps").getAsJsonArray());
    comparison.same("scalings", expected.size(), timesteps.size());
    for (int i = 0; i < Math.min(expected.size(), timesteps.size()); i++) {
      JsonArray pair = expected.get(i).getAsJsonArray();
      int t = timesteps.get(i).getAsInt();
      ConsistencyBoundary boundary = ConsistencyBoundary.DEFAULT;
      double[] found = {boundary.cSkip(t), boundary.cOut(t)};
      for (int j = 0; j < found.length; j++) {
        double value = pair.get(j).getAsDouble();
        comparison.close(
            "scalings[" + i + "][" + j + "]", value, found[j], Comparison.F32 * Math.abs(value));
      }
    }
  }

  /** The mean squared error of the same values. */
  private void squared(TrainingCases cases, Comparison comparison) {
    Tensor online = traced(cases, "online");
    double found = online.meanSquaredError(traced(cases, "target")).toFloats()[0];
    double expected = vectors.value("loss_l2").getAsDouble();
    comparison.close("loss_l2", expected, found, Comparison.F32 * Math.max(1, expected));
  }

  private static Tensor traced(TrainingCases cases, String name) {
    TrainingCases.Traced traced = cases.outcome().traced().get(name);
    return Tensor.of(cases.bench().backend(), traced.shape(), traced.values());
  }

  @Override
  public Set<String> inputs() {
    return Set.of(
        "latents",
        "noise",
        "context",
        "unconditional",
        "inputs_file",
        "prediction_type",
        "start_timesteps");
  }
}
