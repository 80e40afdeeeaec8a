package dev.longalign.training;

import dev.longalign.LongAlignException;
import dev.longalign.autograd.AutogradBackend;
import dev.longalign.data.Batch;
import dev.longalign.data.DataLoader;
import dev.longalign.data.DataPosition;
import dev.longalign.data.Skip;
import dev.longalign.io.LockFile;
import dev.longalign.nn.RandomDropout;
import dev.longalign.random.TorchGenerator;
import dev.longalign.tensor.TensorScope;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Trains: draws, differentiates, clips, steps, looks, saves. Everything follows from the seed, so a
 * run that was stopped and resumed ends with the same bits as one that was not.
 *
 * <pre>{@code
 * try (Trainer<FeatureExample> trainer =
 *     new Trainer<>(model, objective, settings, run, from -> loader(from))) {
 *   trainer.listen(new JsonLinesEvents(run));
 *   trainer.listen(new TensorBoardEvents(run));
 *   trainer.validate(new PictureValidation(...));
 *   trainer.resume();                  // from the newest checkpoint in run, if there is one
 *   trainer.trainTo(10_000);
 *   trainer.withAverages(() -> model.export(run.resolve("export")));
 * }
 * }</pre>
 *
 * For one thread, except {@link #stop}. The model, the objective and what they use stay the
 * caller's.
 *
 * @param <E> an example of the dataset
 */
public final class Trainer<E> implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Trainer.class);

  /** Of the smoothed loss. */
  static final double LOSS_DECAY = 0.98;

  private static final double SECONDS_DECAY = 0.9;

  private final Trainable model;
  private final Objective<E> objective;
  private final TrainerSettings settings;
  private final Path run;
  private final Map<String, String> identity;
  private final LockFile lock;
  private final SpaceWatch space;
  private final Function<Optional<DataPosition>, DataLoader<E>> data;
  private final Optimizer optimizer;
  private final Checkpoints checkpoints;
  private final TorchGenerator random;
  private final List<TrainingListener> listeners = new CopyOnWriteArrayList<>();
  private final List<Validation> validations = new CopyOnWriteArrayList<>();
  private DataLoader<E> loader;
  private DataPosition position;
  private long step;
  private long saved = -1;
  private final Set<Long> skipped = new HashSet<>();
  private MovingAverage loss = new MovingAverage(LOSS_DECAY);
  private MovingAverage seconds = new MovingAverage(SECONDS_DECAY);
  private boolean started;
  private boolean averaged;
  private volatile boolean stopping;

  /**
   * @param run the directory for checkpoints; is locked until the trainer is closed
   * @param data opens the data, at the start or where a checkpoint says; the trainer closes it
   * @throws LongAlignException if another run, of whichever process, has the directory
   */
  public Trainer(
      Trainable model,
      Objective<E> objective,
      TrainerSettings settings,
      Path run,
      Function<Optional<DataPosition>, DataLoader<E>> data) {
    this(model, objective, settings, run, data, Map.of(), Checkpoints.lock(run));
  }

  /**
   * @param identity of the run, for its checkpoints
   * @param lock on its directory; closed with the trainer
   */
  Trainer(
      Trainable model,
      Objective<E> objective,
      TrainerSettings settings,
      Path run,
      Function<Optional<DataPosition>, DataLoader<E>> data,
      Map<String, String> identity,
      LockFile lock) {
    this.model = Objects.requireNonNull(model, "model");
    this.objective = Objects.requireNonNull(objective, "objective");
    this.settings = Objects.requireNonNull(settings, "settings");
    this.run = Objects.requireNonNull(run, "run");
    this.data = Objects.requireNonNull(data, "data");
    this.identity = identity;
    this.lock = lock;
    try {
      this.checkpoints = new Checkpoints(run, settings.keepLast(), lock.exclusive());
      model.autograd().limitMemory(settings.maxMemory());
      this.optimizer = new Optimizer(model.autograd(), model.parameters(), settings);
    } catch (RuntimeException e) {
      lock.close();
      throw e;
    }
    this.random = new TorchGenerator(settings.seed());
    this.space = new SpaceWatch(run, optimizer.bytes());
  }

  public void listen(TrainingListener listener) {
    listeners.add(listener);
  }

  /** Adds a look at the model every {@link TrainerSettings#validateEvery} steps. */
  public void validate(Validation validation) {
    validations.add(validation);
  }

  /** How many steps have been made. */
  public long step() {
    return step;
  }

  /** How many numbers are trained. */
  public long parameterCount() {
    return model.parameters().stream().mapToLong(p -> p.shape().size()).sum();
  }

  // ---- steps

  /**
   * Makes steps until there are so many; first validates what a killed run did not any more; saves
   * on the way and at the end, also where the trainer is stopped or its thread interrupted.
   *
   * <p>A step that fails, whatever the reason, leaves the trainer as it was before it; that is
   * saved, and training can go on from there.
   *
   * @throws LongAlignException if a loss or gradient is not finite (what went into the step is in
   *     {@code failed-step-*} of the run), memory or data are at an end, a checkpoint cannot be
   *     written, or more steps than that have been made
   */
  public void trainTo(long last) {
    requireOwnValues("trainTo");
    if (last < step) {
      throw new LongAlignException(
          String.format(
              Locale.ROOT,
              "%s: %d steps are made already, and steps says %d; set steps to %2$d or more, or use"
                  + " another directory",
              run,
              step,
              last));
    }
    start();
    long begin = System.nanoTime();
    while (step < last && !stopped()) {
      StepReport report;
      try {
        report = oneStep(last, begin);
      } catch (RuntimeException e) {
        if (Thread.currentThread().isInterrupted()) {
          LOG.info("step {} was interrupted ({}) and is left out", step + 1, e.toString());
          break;
        }
        saveAfter(e);
        throw e;
      }
      begin = System.nanoTime();
      tell(listener -> listener.onStep(report));
      tellSkipped();
      space.check(saved);
      if (step % settings.saveEvery() == 0) {
        save();
      }
      if (validationIsDue()) {
        look();
      }
    }
    if (saved != step) {
      save();
    }
  }

  /**
   * Asks {@link #trainTo} to end after the step that it is in, and to save; for good. From any
   * thread, for example when the process is asked to end.
   */
  public void stop() {
    stopping = true;
  }

  private boolean stopped() {
    return stopping || Thread.currentThread().isInterrupted();
  }

  private void start() {
    if (!started) {
      started = true;
      model.autograd().resetPeakMemory();
      tell(listener -> listener.onStart(step));
      space.check(saved);
      if (step > 0 && validationIsDue() && !stopped()) {
        validations.stream().filter(v -> !v.isMade(step)).forEach(this::look);
      }
    }
  }

  private void tell(Consumer<TrainingListener> what) {
    listeners.forEach(what);
  }

  /** Each example once, though epochs meet it again, and so does data that is opened again. */
  private void tellSkipped() {
    for (Skip skip : loader.skipped().named()) {
      if (skipped.add(skip.index())) {
        tell(listener -> listener.onSkipped(step, skip));
      }
    }
  }

  /**
   * @param before when the step before ended, saving and validation left out
   */
  private StepReport oneStep(long last, long before) {
    byte[] drawn = random.getState();
    long masks = dropoutState();
    long start = System.nanoTime();
    try {
      Made made = make();
      long end = System.nanoTime();
      loss = loss.plus(made.loss);
      seconds = seconds.plus((end - before) / 1e9);
      return new StepReport(
          step,
          made.loss,
          loss.value(),
          made.norm,
          made.rate,
          made.pictures,
          (end - start) / 1e9,
          model.autograd().memory(),
          (last - step) * seconds.value());
    } catch (RuntimeException e) {
      optimizer.forget();
      random.setState(drawn);
      restoreDropout(masks);
      closeData();
      throw e;
    }
  }

  private record Made(double loss, double norm, double rate, int pictures) {}

  private Made make() {
    if (loader == null) {
      loader = data.apply(Optional.ofNullable(position));
    }
    AutogradBackend autograd = model.autograd();
    try (TensorScope scope = TensorScope.open()) {
      List<StepInputs> inputs = new ArrayList<>();
      double sum = 0;
      int pictures = 0;
      DataPosition after = position;
      for (int i = 0; i < settings.accumulation(); i++) {
        Batch<E> batch = nextBatch();
        pictures += batch.size();
        after = batch.next();
        try (AutogradBackend.NoGradient off = autograd.noGradient()) {
          inputs.add(objective.prepare(batch.examples(), random));
        }
        sum += differentiate(inputs.get(i)) / settings.accumulation();
      }
      double norm = optimizer.norm();
      FailedStep.check(step + 1, sum, norm, optimizer.gradients(), inputs, run);
      double rate = settings.learningRate().at(step);
      optimizer.step(norm, step);
      step++;
      position = after;
      return new Made(sum, norm, rate, pictures);
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
      Loss result = objective.loss(inputs);
      if (Double.isFinite(result.value())) {
        optimizer.add(result.backward(model.autograd(), 1f / settings.accumulation()));
      }
      return result.value();
    }
  }

  private long dropoutState() {
    return model.dropout() == null ? 0 : model.dropout().state();
  }

  private void restoreDropout(long state) {
    if (model.dropout() != null) {
      model.dropout().restore(state);
    }
  }

  private void closeData() {
    if (loader != null) {
      loader.close();
      loader = null;
    }
  }

  // ---- validation and averages

  private boolean validationIsDue() {
    return settings.validateEvery() > 0 && step % settings.validateEvery() == 0;
  }

  /** Validates now. */
  void look() {
    validations.forEach(this::look);
  }

  /** A look that fails stops nothing. */
  private void look(Validation validation) {
    try {
      ValidationReport report = withAverages(() -> undisturbed(() -> validation.validate(step)));
      tell(listener -> listener.onValidated(report));
    } catch (LongAlignException e) {
      LOG.warn("the validation after step {} failed: {}", step, e.getMessage());
    }
  }

  private <T> T undisturbed(Supplier<T> work) {
    RandomDropout dropout = model.dropout();
    try (AutogradBackend.NoGradient noGradient = model.autograd().noGradient();
        RandomDropout.Off off = dropout == null ? () -> {} : dropout.off();
        TensorScope scope = TensorScope.open()) {
      return work.get();
    }
  }

  /**
   * Does work with the averaged parameters in the model's place: for exports and validation. Those
   * of the optimizer are back afterwards, bit for bit. Without averages ({@link
   * TrainerSettings#emaDecay} of 0) the work sees the parameters themselves.
   */
  public <T> T withAverages(Supplier<T> work) {
    requireOwnValues("withAverages");
    optimizer.exchange();
    averaged = true;
    try {
      return work.get();
    } finally {
      averaged = false;
      optimizer.exchange();
    }
  }

  /** The same for work without a result. */
  public void withAverages(Runnable work) {
    withAverages(
        () -> {
          work.run();
          return null;
        });
  }

  private void requireOwnValues(String what) {
    if (averaged) {
      throw new LongAlignException(
          what + ": the model has the averaged parameters now; call it outside of withAverages");
    }
  }

  // ---- checkpoints

  /** Saves now. */
  public Path save() {
    requireOwnValues("save");
    Checkpoint checkpoint =
        new Checkpoint(
            objective.stage(),
            step,
            random.getState(),
            dropoutState(),
            position,
            loss,
            identity,
            optimizer.stored());
    Path written = uninterruptibly(() -> checkpoints.save(checkpoint));
    saved = step;
    tell(listener -> listener.onSaved(step, written));
    return written;
  }

  private void saveAfter(RuntimeException failure) {
    try {
      if (saved != step) {
        save();
      }
    } catch (RuntimeException e) {
      failure.addSuppressed(e);
    }
  }

  /** Files that are being written close when their thread is interrupted: then once more. */
  private static <T> T uninterruptibly(Supplier<T> work) {
    boolean interrupted = Thread.interrupted();
    try {
      while (true) {
        try {
          return work.get();
        } catch (RuntimeException e) {
          if (!Thread.interrupted()) {
            throw e;
          }
          interrupted = true;
        }
      }
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  /** {@link #resume(boolean)} that allows no changes. */
  public boolean resume() {
    return resume(false);
  }

  /**
   * Continues from the newest whole checkpoint of the run, if there is one.
   *
   * @param allowChanges continues though what decides the training has changed since; where data or
   *     seed have, the data begins anew
   * @return whether there was one
   * @throws LongAlignException if it belongs to another stage or model, or settings, data or base
   *     have changed: the message lists what was and what is. Checkpoints of versions that did not
   *     note them are taken as they are
   */
  public boolean resume(boolean allowChanges) {
    if (step != 0 || started) {
      throw new LongAlignException("resume: this trainer has made " + step + " steps already");
    }
    Optional<Checkpoint> found = checkpoints.latest();
    found.ifPresent(checkpoint -> restore(checkpoint, allowChanges));
    return found.isPresent();
  }

  private void restore(Checkpoint checkpoint, boolean allowChanges) {
    if (!checkpoint.stage().equals(objective.stage())) {
      String both = objective.stage() + ", found " + checkpoint.stage();
      throw new LongAlignException(
          run + ": expected checkpoints of stage " + both + "; use another directory");
    }
    boolean sameData = RunIdentity.sameData(checkpoint, identity, run, allowChanges);
    optimizer.restore(checkpoint.tensors(), run.toString());
    random.setState(checkpoint.random());
    restoreDropout(checkpoint.dropout());
    position = sameData ? checkpoint.position() : null;
    loss = checkpoint.loss();
    step = checkpoint.step();
    saved = step;
  }

  /** Closes the data and frees the moments; what has been trained stays with the model. */
  @Override
  public void close() {
    closeData();
    optimizer.close();
    model.autograd().limitMemory(0);
    lock.close();
  }
}
