package dev.longalign.training;

import dev.longalign.LongAlignException;
import dev.longalign.autograd.AutogradBackend;
import dev.longalign.data.Batch;
import dev.longalign.data.DataLoader;
import dev.longalign.data.DataPosition;
import dev.longalign.io.StoredTensor;
import dev.longalign.model.TrainableParameter;
import dev.longalign.random.TorchGenerator;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Function;

/**
 * Trains: draws, differentiates, clips, steps, saves. Everything follows from the seed, so a run
 * that was stopped and resumed ends with the same bits as one that was not.
 *
 * <pre>{@code
 * try (Trainer<FeatureExample> trainer =
 *     new Trainer<>(model, objective, settings, run, from -> loader(from))) {
 *   trainer.listen(new TrainingListener() { ... });
 *   trainer.resume();                  // from the newest checkpoint in run, if there is one
 *   trainer.trainTo(10_000);
 *   model.export(run.resolve("export"));
 * }
 * }</pre>
 *
 * For one thread. The model, the objective and what they use stay the caller's.
 *
 * @param <E> an example of the dataset
 */
public final class Trainer<E> implements AutoCloseable {
  private final Trainable model;
  private final Objective<E> objective;
  private final TrainerSettings settings;
  private final Path run;
  private final Function<Optional<DataPosition>, DataLoader<E>> data;
  private final Optimizer optimizer;
  private final Checkpoints checkpoints;
  private final TorchGenerator random;
  private final List<TrainingListener> listeners = new CopyOnWriteArrayList<>();
  private DataLoader<E> loader;
  private DataPosition position;
  private long step;
  private long saved = -1;

  /**
   * @param run the directory for checkpoints
   * @param data opens the data, at the start or where a checkpoint says; the trainer closes it
   */
  public Trainer(
      Trainable model,
      Objective<E> objective,
      TrainerSettings settings,
      Path run,
      Function<Optional<DataPosition>, DataLoader<E>> data) {
    this.model = Objects.requireNonNull(model, "model");
    this.objective = Objects.requireNonNull(objective, "objective");
    this.settings = Objects.requireNonNull(settings, "settings");
    this.run = Objects.requireNonNull(run, "run");
    this.data = Objects.requireNonNull(data, "data");
    this.checkpoints = new Checkpoints(run, settings.keepLast());
    this.optimizer = new Optimizer(model.autograd(), model.parameters(), settings);
    this.random = new TorchGenerator(settings.seed());
  }

  public void listen(TrainingListener listener) {
    listeners.add(listener);
  }

  /** How many steps have been made. */
  public long step() {
    return step;
  }

  /**
   * Makes steps until there are so many; saves on the way as the settings say, and at the end. An
   * interrupted thread stops after the step it is in, and saves.
   *
   * @throws LongAlignException if a loss or gradient is not finite: the parameters are then those
   *     of the step before, and what went into the step is in {@code failed-step-*} of the run
   */
  public void trainTo(long last) {
    while (step < last && !Thread.currentThread().isInterrupted()) {
      StepReport report = oneStep();
      listeners.forEach(listener -> listener.onStep(report));
      if (step % settings.saveEvery() == 0) {
        save();
      }
    }
    if (saved != step) {
      save();
    }
  }

  private StepReport oneStep() {
    if (loader == null) {
      loader = data.apply(Optional.ofNullable(position));
    }
    AutogradBackend autograd = model.autograd();
    autograd.resetPeakMemory();
    long start = System.nanoTime();
    try (TensorScope scope = TensorScope.open()) {
      List<StepInputs> inputs = new ArrayList<>();
      double loss = 0;
      int pictures = 0;
      DataPosition after = position;
      for (int i = 0; i < settings.accumulation(); i++) {
        Batch<E> batch = nextBatch();
        pictures += batch.size();
        after = batch.next();
        try (AutogradBackend.NoGradient off = autograd.noGradient()) {
          inputs.add(objective.prepare(batch.examples(), random));
        }
        loss += differentiate(inputs.get(i)) / settings.accumulation();
      }
      double norm = optimizer.norm();
      check(loss, norm, inputs);
      double rate = settings.learningRate().at(step);
      optimizer.step(norm, step);
      step++;
      position = after;
      double seconds = (System.nanoTime() - start) / 1e9;
      return new StepReport(step, loss, norm, rate, pictures, seconds, autograd.memory().peak());
    }
  }

  private Batch<E> nextBatch() {
    if (!loader.hasNext()) {
      throw new LongAlignException(
          "the data ended after "
              + step
              + " steps; let the loader go over it more often, or train for fewer steps");
    }
    return loader.next();
  }

  private double differentiate(StepInputs inputs) {
    try (TensorScope scope = TensorScope.open()) {
      Loss loss = objective.loss(inputs);
      if (Double.isFinite(loss.value())) {
        optimizer.add(loss.backward(model.autograd(), 1f / settings.accumulation()));
      }
      return loss.value();
    }
  }

  // ---- what is not finite

  private void check(double loss, double norm, List<StepInputs> inputs) {
    if (Double.isFinite(loss) && Double.isFinite(norm)) {
      return;
    }
    List<String> names = new ArrayList<>();
    optimizer
        .gradients()
        .forEach(
            (name, gradient) -> {
              if (!Double.isFinite(model.autograd().training().sumOfSquares(gradient))) {
                names.add(name);
              }
            });
    optimizer.forget();
    Path directory = run.resolve("failed-step-" + (step + 1));
    try {
      Files.createDirectories(directory);
    } catch (IOException e) {
      throw new LongAlignException(directory + ": cannot be created (" + e + ")", e);
    }
    for (int i = 0; i < inputs.size(); i++) {
      inputs.get(i).write(directory.resolve("inputs-" + i + ".safetensors"));
    }
    throw new LongAlignException(
        "step "
            + (step + 1)
            + ": expected a finite loss and gradient, found loss "
            + loss
            + " and gradient norm "
            + norm
            + (names.isEmpty() ? "" : " (first of " + names.size() + ": " + names.get(0) + ")")
            + "; what went into the step is in "
            + directory
            + ", the parameters are those of step "
            + step
            + ": lower the learning rate, or look at the examples "
            + inputs.stream().flatMap(i -> i.ids().stream()).toList());
  }

  // ---- checkpoints

  /** Saves now. */
  public Path save() {
    List<StoredTensor> tensors = new ArrayList<>();
    optimizer
        .slots()
        .forEach(
            (name, slot) -> {
              TrainableParameter p = slot.parameter();
              tensors.add(stored(Checkpoint.VALUE + name, p, p.value()));
              tensors.add(stored(Checkpoint.FIRST + name, p, slot.first()));
              tensors.add(stored(Checkpoint.SECOND + name, p, slot.second()));
            });
    Path written =
        checkpoints.save(
            new Checkpoint(
                objective.stage(), step, random.getState(), dropoutState(), position, tensors));
    saved = step;
    listeners.forEach(listener -> listener.onSaved(step, written));
    return written;
  }

  private long dropoutState() {
    return model.dropout() == null ? 0 : model.dropout().state();
  }

  private static StoredTensor stored(String name, TrainableParameter p, Tensor x) {
    return StoredTensor.ofFloats(name, DType.F32, p.shape(), x.toFloats());
  }

  /**
   * Continues from the newest whole checkpoint of the run, if there is one.
   *
   * @return whether there was one
   * @throws LongAlignException if it belongs to another stage or model
   */
  public boolean resume() {
    if (step != 0 || loader != null) {
      throw new LongAlignException("resume: this trainer has made " + step + " steps already");
    }
    Optional<Checkpoint> found = checkpoints.latest();
    found.ifPresent(this::restore);
    return found.isPresent();
  }

  private void restore(Checkpoint checkpoint) {
    if (!checkpoint.stage().equals(objective.stage())) {
      throw new LongAlignException(
          run
              + ": expected checkpoints of stage "
              + objective.stage()
              + ", found "
              + checkpoint.stage()
              + "; use another directory");
    }
    Map<String, StoredTensor> tensors = new TreeMap<>();
    checkpoint.tensors().forEach(tensor -> tensors.put(tensor.name(), tensor));
    if (tensors.size() != 3 * optimizer.slots().size()) {
      throw anotherModel(
          3 * optimizer.slots().size() + " tensors", Integer.toString(tensors.size()));
    }
    optimizer
        .slots()
        .forEach(
            (name, slot) -> {
              TrainableParameter p = slot.parameter();
              for (String part : List.of(Checkpoint.VALUE, Checkpoint.FIRST, Checkpoint.SECOND)) {
                StoredTensor tensor = tensors.get(part + name);
                if (tensor == null || !tensor.shape().equals(p.shape())) {
                  throw anotherModel(
                      part + name + " " + p.shape(),
                      tensor == null ? "nothing" : tensor.shape().toString());
                }
              }
            });
    optimizer
        .slots()
        .forEach(
            (name, slot) -> {
              assign(tensors.get(Checkpoint.VALUE + name), slot.parameter().value());
              assign(tensors.get(Checkpoint.FIRST + name), slot.first());
              assign(tensors.get(Checkpoint.SECOND + name), slot.second());
            });
    random.setState(checkpoint.random());
    if (model.dropout() != null) {
      model.dropout().restore(checkpoint.dropout());
    }
    position = checkpoint.position();
    step = checkpoint.step();
    saved = step;
  }

  private void assign(StoredTensor from, Tensor into) {
    optimizer.assign(into, from.toFloats());
  }

  private LongAlignException anotherModel(String expected, String found) {
    return new LongAlignException(
        run
            + ": a checkpoint of another model: expected "
            + expected
            + ", found "
            + found
            + "; train it with the base, rank and adapter it was begun with");
  }

  /** Closes the data and frees the moments; what has been trained stays with the model. */
  @Override
  public void close() {
    if (loader != null) {
      loader.close();
    }
    optimizer.close();
  }
}
