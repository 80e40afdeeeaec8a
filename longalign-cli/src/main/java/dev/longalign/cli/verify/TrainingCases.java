package dev.longalign.cli.verify;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import dev.longalign.model.TrainableParameter;
import dev.longalign.tensor.AdamW;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import dev.longalign.training.Loss;
import dev.longalign.training.Optimizer;
import dev.longalign.training.Trace;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * One optimiser step of {@code align}, {@code lcm} or {@code reward}: losses, values on the way,
 * the gradient of every tensor that is trained, and what the step makes of them.
 */
final class TrainingCases implements CaseSource {
  private static final String AFTER = "after:";
  private static final String DIGESTS = "after_digests";

  private final String area;
  private final Bench bench;
  private final Vectors vectors;
  private final Stage stage;
  private TrainingSetup setup;
  private Outcome outcome;

  /** What differs between the stages. */
  interface Stage extends AutoCloseable {
    boolean trainsAdapter();

    /** How many micro-batches the step is made of. */
    int microBatches();

    Loss loss(TrainingSetup setup, int microBatch, Trace trace);

    /** Comparisons of values that only this stage has, by the keys and tensors they cover. */
    Map<Set<String>, VerifyCase.Body> more(TrainingCases cases);

    /** Keys and tensors that are inputs, or are covered elsewhere. */
    Set<String> inputs();

    /** Frees what only this stage needs. */
    @Override
    default void close() {}
  }

  /** A value on the way, in the reference's layout. */
  record Traced(Shape shape, float[] values) {}

  /** What the step gave. */
  record Outcome(
      List<Double> losses,
      Map<String, Traced> traced,
      Map<String, float[]> gradients,
      double norm,
      Map<String, float[]> after) {}

  TrainingCases(String area, Bench bench, Vectors vectors, Stage stage) {
    this.area = area;
    this.bench = bench;
    this.vectors = vectors;
    this.stage = stage;
  }

  @Override
  public List<VerifyCase> cases() {
    Set<String> open = new TreeSet<>(vectors.names());
    open.addAll(vectors.values());
    open.removeAll(stage.inputs());
    List<VerifyCase> cases = new ArrayList<>();
    open.removeAll(Set.of("loss", "loss_float64", "losses", "losses_float64"));
    cases.add(of("loss", this::losses));
    stage
        .more(this)
        .forEach(
            (keys, body) -> {
              if (open.removeAll(keys)) {
                cases.add(of(keys.iterator().next(), body));
              }
            });
    open.removeAll(Set.of("order", "grad_norm", "clip_coefficient", "grad_digests"));
    open.removeIf(name -> name.startsWith(TrainingChecks.GRADIENT));
    cases.add(of("gradients", this::gradients));
    if (recordsAfter()) {
      open.removeIf(name -> name.startsWith(AFTER) || name.equals(DIGESTS));
      cases.add(of("after", this::after));
    }
    // What is left is compared with what the objective traces.
    for (String name : open) {
      cases.add(
          vectors.has(name)
              ? of(name, c -> traced(name, c))
              : VerifyCase.skipped(area, vectors.name() + "." + name, "unknown case"));
    }
    return cases;
  }

  private VerifyCase of(String name, VerifyCase.Body body) {
    return new VerifyCase(area, vectors.name() + "." + name, body);
  }

  private boolean recordsAfter() {
    return vectors.hasValue(DIGESTS) || vectors.names().stream().anyMatch(n -> n.startsWith(AFTER));
  }

  Bench bench() {
    return bench;
  }

  /** The model; as it is after the step if {@link #outcome} was asked for. */
  TrainingSetup setup() {
    if (setup == null) {
      setup = new TrainingSetup(bench, vectors, stage.trainsAdapter());
    }
    return setup;
  }

  Outcome outcome() {
    if (outcome == null) {
      outcome = run();
    }
    return outcome;
  }

  private Outcome run() {
    List<TrainableParameter> parameters = setup().trained().parameters();
    List<Double> losses = new ArrayList<>();
    Map<String, Traced> traced = new LinkedHashMap<>();
    int count = stage.microBatches();
    try (Optimizer optimizer =
        new Optimizer(setup().autograd(), parameters, new TrainingRecipe(vectors).optimizer())) {
      for (int i = 0; i < count; i++) {
        try (TensorScope scope = TensorScope.open()) {
          Loss loss =
              stage.loss(setup(), i, (name, x) -> traced.put(name, new Traced(nchw(x), values(x))));
          losses.add(loss.value());
          optimizer.add(loss.backward(setup().autograd(), 1f / count));
        }
      }
      Map<String, float[]> gradients = floats(optimizer.gradients());
      double norm = optimizer.norm();
      if (recordsAfter()) {
        optimizer.step(norm, 0);
      }
      return new Outcome(losses, traced, gradients, norm, values(parameters));
    }
  }

  private static Shape nchw(Tensor x) {
    return x.shape().rank() == 4 ? Layouts.nchw(x.shape()) : x.shape();
  }

  private static float[] values(Tensor x) {
    return x.shape().rank() == 4 ? Layouts.toNchw(x) : x.toFloats();
  }

  static Map<String, float[]> floats(Map<String, Tensor> tensors) {
    Map<String, float[]> floats = new LinkedHashMap<>();
    tensors.forEach((name, x) -> floats.put(name, x.toFloats()));
    return floats;
  }

  static Map<String, float[]> values(List<TrainableParameter> parameters) {
    Map<String, float[]> values = new LinkedHashMap<>();
    parameters.forEach(p -> values.put(p.name(), p.value().toFloats()));
    return values;
  }

  private void losses(Comparison comparison) {
    TrainingChecks checks = new TrainingChecks(vectors, comparison);
    List<Double> found = outcome().losses();
    if (!vectors.hasValue("losses")) {
      double float64 =
          vectors.hasValue("loss_float64")
              ? vectors.value("loss_float64").getAsDouble()
              : Double.NaN;
      checks.loss("loss", vectors.value("loss").getAsDouble(), float64, found.get(0));
      return;
    }
    JsonArray expected = vectors.value("losses").getAsJsonArray();
    comparison.same("micro-batches", expected.size(), found.size());
    for (int i = 0; i < Math.min(expected.size(), found.size()); i++) {
      checks.loss("loss " + i, expected.get(i).getAsDouble(), Double.NaN, found.get(i));
    }
  }

  private void gradients(Comparison comparison) {
    TrainingChecks checks = new TrainingChecks(vectors, comparison);
    checks.gradients(outcome().gradients());
    if (vectors.hasValue("order")) {
      comparison.same(
          "order",
          Values.texts(vectors.value("order")),
          setup().trained().parameters().stream().map(TrainableParameter::name).toList());
    }
    if (vectors.hasValue("grad_norm")) {
      checks.norm("grad_norm", vectors.value("grad_norm").getAsDouble(), outcome().norm());
    }
    if (vectors.hasValue("clip_coefficient")) {
      double largest = new TrainingRecipe(vectors).maxGradientNorm();
      checks.norm(
          "clip_coefficient",
          vectors.value("clip_coefficient").getAsDouble(),
          AdamW.clipScale(outcome().norm(), largest));
    }
  }

  private void after(Comparison comparison) {
    TrainingChecks checks = new TrainingChecks(vectors, comparison);
    checks.parameters(AFTER, 0, outcome().after());
    if (vectors.hasValue(DIGESTS)) {
      JsonObject recorded = vectors.value(DIGESTS).getAsJsonObject();
      checks.parameters(recorded.getAsJsonObject("digests"), recorded, 0, outcome().after());
    }
  }

  private void traced(String name, Comparison comparison) {
    Traced found = outcome().traced().get(name);
    if (found == null) {
      throw new VerifyCase.Skipped("unknown case");
    }
    comparison.close(
        name,
        vectors.shape(name),
        vectors.floats(name),
        found.shape(),
        found.values(),
        Comparison.F32,
        vectors.float64Difference(name));
  }

  @Override
  public void close() {
    stage.close();
    if (setup != null) {
      setup.close();
    }
  }
}
