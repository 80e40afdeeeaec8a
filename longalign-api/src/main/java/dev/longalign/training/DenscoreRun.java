package dev.longalign.training;

import dev.longalign.LongAlignException;
import dev.longalign.autograd.AutogradBackend;
import dev.longalign.data.DataLoader;
import dev.longalign.data.Dataset;
import dev.longalign.data.PicturePreprocessing;
import dev.longalign.data.TrainingExample;
import dev.longalign.io.ComponentDirectory;
import dev.longalign.io.LockFile;
import dev.longalign.io.Reasons;
import dev.longalign.io.TensorFile;
import dev.longalign.model.ClipConfig;
import dev.longalign.model.ClipInitialWeights;
import dev.longalign.model.TrainableClip;
import dev.longalign.nn.FileWeights;
import dev.longalign.preference.ImagePreprocessing;
import dev.longalign.preference.PreferenceModel;
import dev.longalign.random.TorchGenerator;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.OptionalLong;

/**
 * A training of Denscore: opens everything, and closes it again.
 *
 * <pre>{@code
 * try (DenscoreRun run = new DenscoreRun(DenscoreRunConfig.read(file), denscore, cpu, 0)) {
 *   run.trainer().resume();
 *   run.trainer().trainTo(config.steps());
 *   run.model().export(config.output().resolve("export"));
 * }
 * }</pre>
 */
public final class DenscoreRun implements AutoCloseable {
  private final Deque<AutoCloseable> open = new ArrayDeque<>();
  private final AutogradBackend autograd;
  private final TrainedClip model;
  private final Trainer<TrainingExample> trainer;
  private final OptionalLong examples;

  /**
   * @param denscore a CLIPModel's directory: where the run names none, a new model gets its
   *     tokenizer, and its sizes too
   * @param backend computes; closed with the run
   * @param threads for what runs beside the backend, 0 for one per core
   * @throws LongAlignException if another run has the output directory, a file is missing or
   *     damaged, or weights do not fit their config
   */
  public DenscoreRun(DenscoreRunConfig config, Path denscore, Backend backend, int threads) {
    autograd = opened(new AutogradBackend(backend, config.checkpointing()));
    try {
      LockFile lock = opened(Checkpoints.lock(config.output()));
      long seed = config.settings().seed();
      Path from = config.init() != null ? config.init() : config.tokenizer();
      ComponentDirectory directory = ComponentDirectory.open(from == null ? denscore : from);
      ClipConfig clipConfig = config.model(directory.config());
      TrainableClip clip = opened(load(config, clipConfig, directory, autograd));
      PreferenceModel files = opened(PreferenceModel.open(directory.path(), threads));
      ImagePreprocessing statistics = files.preprocessing();
      int size = clipConfig.vision().imageSize();
      Dataset<TrainingExample> data =
          opened(config.data().open().map(new PicturePreprocessing(size)));
      model = new TrainedClip(autograd, clip, directory.path());
      DenscoreObjective objective =
          new DenscoreObjective(
              clip,
              autograd,
              files.tokenizer(),
              new ImagePreprocessing(size, statistics.mean(), statistics.std()),
              new DenscoreObjective.Settings(config.omega(), config.segmentWeight()));
      trainer =
          opened(
              new Trainer<>(
                  model,
                  objective,
                  config.settings(),
                  config.output(),
                  position -> {
                    DataLoader.Builder<TrainingExample> loader =
                        DataLoader.builder(data)
                            .batchSize(config.batchSize())
                            .seed(seed)
                            .listener(skip -> {}); // the trainer's listeners hear of them
                    position.ifPresent(loader::position);
                    return loader.build();
                  },
                  RunIdentity.of(config, directory),
                  lock));
      examples = data.size();
      trainer.listen(new JsonLinesEvents(config.output()));
      trainer.listen(new TensorBoardEvents(config.output()));
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  private static TrainableClip load(
      DenscoreRunConfig config,
      ClipConfig clip,
      ComponentDirectory directory,
      AutogradBackend autograd) {
    if (config.init() == null) {
      TorchGenerator noise = new TorchGenerator(config.settings().seed());
      return TrainableClip.load(clip, new ClipInitialWeights(clip, noise), autograd, DType.F32);
    }
    try (TensorFile weights = directory.weights()) {
      return TrainableClip.load(clip, new FileWeights(weights), autograd, DType.F32);
    }
  }

  private <T extends AutoCloseable> T opened(T resource) {
    open.push(resource);
    return resource;
  }

  public TrainedClip model() {
    return model;
  }

  public Trainer<TrainingExample> trainer() {
    return trainer;
  }

  /** How many examples the data has; empty without end. */
  public OptionalLong examples() {
    return examples;
  }

  /** What computes, as the backend names itself. */
  public String backend() {
    return autograd.name();
  }

  @Override
  public void close() {
    while (!open.isEmpty()) {
      try {
        open.pop().close();
      } catch (RuntimeException e) {
        throw e;
      } catch (Exception e) {
        throw new LongAlignException("closing the run: " + Reasons.of(e), e);
      }
    }
  }
}
