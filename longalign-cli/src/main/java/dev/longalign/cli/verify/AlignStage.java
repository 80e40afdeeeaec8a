package dev.longalign.cli.verify;

import dev.longalign.scheduler.PredictionType;
import dev.longalign.tensor.TensorScope;
import dev.longalign.training.AlignObjective;
import dev.longalign.training.Loss;
import dev.longalign.training.StepInputs;
import dev.longalign.training.Trace;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/** {@code align/}: LoRA and adapter learn to predict the noise. */
final class AlignStage implements TrainingCases.Stage {
  private static final String HUBER = "loss_huber";
  private static final String PREDICTION = "prediction_type";

  private final Vectors vectors;

  AlignStage(Vectors vectors) {
    this.vectors = vectors;
  }

  @Override
  public boolean trainsAdapter() {
    return true;
  }

  @Override
  public int microBatches() {
    return vectors.value("timesteps").getAsJsonArray().size();
  }

  @Override
  public Loss loss(TrainingSetup setup, int microBatch, Trace trace) {
    return objective(setup, 0).loss(inputs(setup, microBatch), trace);
  }

  private AlignObjective<Void> objective(TrainingSetup setup, float huber) {
    return new AlignObjective<>(
        setup.unet(),
        setup.adapter()::forward,
        setup.schedule(),
        null,
        new AlignObjective.Settings(prediction(), 0, huber));
  }

  private PredictionType prediction() {
    return vectors.hasValue(PREDICTION)
        ? PredictionType.valueOf(vectors.value(PREDICTION).getAsString().toUpperCase(Locale.ROOT))
        : PredictionType.EPSILON;
  }

  private StepInputs inputs(TrainingSetup setup, int step) {
    Vectors stored = vectors.inputs();
    int[] timesteps =
        Values.ints(vectors.value("timesteps").getAsJsonArray().get(step).getAsJsonArray());
    return new StepInputs(
        List.of(vectors.name()),
        Map.of(
            "latents", stored.nhwc(setup.autograd(), "latents"),
            "noise", stored.nhwcRow(setup.autograd(), "noise", step),
            "clip", stored.tensor(setup.autograd(), "clip"),
            "t5", stored.tensor(setup.autograd(), "t5")),
        Map.of("timesteps", timesteps));
  }

  @Override
  public Map<Set<String>, VerifyCase.Body> more(TrainingCases cases) {
    return Map.of(
        Set.of(HUBER),
        comparison -> {
          // Its own setup: the other has made its step.
          try (TrainingSetup fresh = new TrainingSetup(cases.bench(), vectors, true);
              TensorScope scope = TensorScope.open()) {
            float c = new TrainingRecipe(vectors).huber();
            Loss loss = objective(fresh, c).loss(inputs(fresh, 0));
            new TrainingChecks(vectors, comparison)
                .loss(HUBER, vectors.value(HUBER).getAsDouble(), Double.NaN, loss.value());
          }
        });
  }

  @Override
  public Set<String> inputs() {
    Set<String> inputs = new HashSet<>(vectors.names());
    inputs.removeIf(name -> !name.startsWith("mask:"));
    inputs.addAll(Set.of("latents", "noise", "clip", "t5", "timesteps", "inputs_file", PREDICTION));
    return inputs;
  }
}
