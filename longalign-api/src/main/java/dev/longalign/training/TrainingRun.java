package dev.longalign.training;

import dev.longalign.LongAlignException;
import dev.longalign.autograd.AutogradBackend;
import dev.longalign.data.DataLoader;
import dev.longalign.data.Dataset;
import dev.longalign.data.FeatureExample;
import dev.longalign.data.PicturePreprocessing;
import dev.longalign.data.TrainingExample;
import dev.longalign.io.ComponentDirectory;
import dev.longalign.io.LockFile;
import dev.longalign.io.Reasons;
import dev.longalign.io.TensorFile;
import dev.longalign.model.TextAdapter;
import dev.longalign.model.TextAdapterConfig;
import dev.longalign.model.TrainableLora;
import dev.longalign.model.TrainableTextAdapter;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.model.UNet2DConditionConfig;
import dev.longalign.nn.FileWeights;
import dev.longalign.nn.RandomDropout;
import dev.longalign.nn.RandomWeights;
import dev.longalign.pipeline.ModelFiles;
import dev.longalign.pipeline.SamplingDefaults;
import dev.longalign.random.TorchGenerator;
import dev.longalign.scheduler.NoiseSchedule;
import dev.longalign.scheduler.PredictionType;
import dev.longalign.scheduler.Scheduler;
import dev.longalign.scheduler.SchedulerConfig;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Device;
import dev.longalign.tensor.Tensor;
import dev.longalign.text.EncoderProvider;
import dev.longalign.training.export.ExportSettings;
import dev.longalign.training.export.Exports;
import dev.longalign.training.export.ModelCard;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalLong;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.UnaryOperator;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A run of one stage from a model's files: opens everything, and closes it again.
 *
 * <pre>{@code
 * RunConfig config = RunConfig.read(Path.of("run.yaml"), Stage.ALIGN);
 * ModelFiles files = ModelFiles.find(directory, null, null, loras, false);
 * try (TrainingRun run = TrainingRun.open(config, files, Device.cpu(), 0)) {
 *   run.trainer().listen(new TrainingListener() { ... });
 *   run.trainer().resume();
 *   run.trainer().trainTo(config.steps());
 *   run.export(config.output().resolve("export"));
 * }
 * }</pre>
 *
 * For one thread.
 */
public final class TrainingRun implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(TrainingRun.class);

  private final RunConfig config;
  private final ModelFiles files;
  private final Device device;
  private final AutogradBackend autograd;
  private final int threads;
  private final Consumer<String> loading;
  private final LockFile lock;
  private final int side;
  private final Deque<AutoCloseable> open = new ArrayDeque<>();
  private TrainedModel model;
  private PictureEncoder encoder;
  private OptionalLong examples;
  private Trainer<?> trainer;

  private TrainingRun(
      RunConfig config,
      ModelFiles files,
      Device device,
      int threads,
      Consumer<String> loading,
      LockFile lock) {
    this.config = config;
    this.files = files;
    this.device = device.resolved();
    this.threads = threads;
    this.loading = loading;
    this.lock = opened(lock);
    this.side = files.side(config.resolution());
    this.autograd = opened(new AutogradBackend(this.device.open(threads), config.checkpointing()));
  }

  /**
   * Opens the networks and the data of a run.
   *
   * @param files the base; LoRAs among them are merged and frozen
   * @param device trains; the text encoders and the preference model run there too, if they can:
   *     those that cannot log why and run on the CPU
   * @param threads of the CPU, 0 for one per core
   * @throws LongAlignException if another run has the output directory, settings do not fit the
   *     model, the device cannot be used, a file is missing or damaged, or the model has no adapter
   */
  public static TrainingRun open(RunConfig config, ModelFiles files, Device device, int threads) {
    return open(config, files, device, threads, part -> {});
  }

  /**
   * The same.
   *
   * @param loading is told what is about to be opened, in a word or two
   */
  public static TrainingRun open(
      RunConfig config, ModelFiles files, Device device, int threads, Consumer<String> loading) {
    files.side(config.resolution()); // refused before a directory is made for it
    checkRank(config, files);
    LockFile lock = Checkpoints.lock(config.output());
    TrainingRun run;
    try {
      run = new TrainingRun(config, files, device, threads, loading, lock);
    } catch (RuntimeException e) {
      lock.close();
      throw e;
    }
    try {
      run.build();
      return run;
    } catch (RuntimeException e) {
      run.close();
      throw e;
    }
  }

  /** More than a layer has inputs or outputs is of no use, and takes memory. */
  private static void checkRank(RunConfig config, ModelFiles files) {
    UNet2DConditionConfig unet = UNet2DConditionConfig.of(files.model().config("unet"));
    long most =
        UNet2DCondition.loraLayers(unet).stream()
            .mapToLong(
                layer ->
                    Math.min(layer.weight().dim(0), layer.weight().size() / layer.weight().dim(0)))
            .max()
            .orElseThrow();
    if (config.rank() > most) {
      throw new LongAlignException(
          "rank: expected at most "
              + most
              + ", the width of the widest layer of "
              + files.model().path()
              + ", found "
              + config.rank());
    }
  }

  private <T extends AutoCloseable> T opened(T resource) {
    open.push(resource);
    return resource;
  }

  private void build() {
    UNet2DConditionConfig unetConfig = UNet2DConditionConfig.of(files.model().config("unet"));
    if (unetConfig.timeCondProjDim() > 0) {
      throw new LongAlignException(
          files.model().component("unet").path()
              + ": expected a UNet that is not told the guidance scale, found time_cond_proj_dim "
              + unetConfig.timeCondProjDim()
              + " (its guidance is distilled); train from the model that it was distilled from");
    }
    long seed = config.settings().seed();
    RandomDropout dropout = new RandomDropout(config.dropout(), seed);
    TrainableLora lora =
        opened(
            TrainableLora.create(
                autograd,
                UNet2DCondition.loraLayers(unetConfig),
                config.rank(),
                new TorchGenerator(seed),
                dropout));
    UnaryOperator<Tensor> adapter;
    if (config.stage() == Stage.ALIGN) {
      TextAdapterConfig adapterConfig = adapterConfig();
      TrainableTextAdapter trained = opened(trainableAdapter(adapterConfig, dropout));
      model = new TrainedModel(autograd, lora, trained, adapterConfig, dropout);
      adapter = trained::forward;
    } else {
      adapterDirectory(); // refuses a model without one
      TextAdapter frozen = opened(files.loadAdapter(autograd));
      model = TrainedModel.of(autograd, lora, dropout);
      adapter = frozen::forward;
    }
    loading.accept("UNet");
    UNet2DCondition unet = opened(files.loadUNet(autograd, config.precision(), lora.branches()));
    if (config.data().kind() == TrainingData.Kind.CACHE) {
      Path cache = Path.of(config.data().location());
      CachedFeatures features = opened(CachedFeatures.open(cache, files, autograd));
      train(unet, adapter, features.examples(), features.encoder(), FeatureExample::caption);
    } else {
      loading.accept("data");
      Dataset<TrainingExample> pictures =
          opened(config.data().open().map(new PicturePreprocessing(side)));
      train(unet, adapter, pictures, encoder(), TrainingExample::caption);
    }
    trainer.listen(new JsonLinesEvents(config.output()));
    trainer.listen(new TensorBoardEvents(config.output()));
    if (config.validation() != null) {
      trainer.validate(validation(unet, adapter));
    }
  }

  private <E> void train(
      UNet2DCondition unet,
      UnaryOperator<Tensor> adapter,
      Dataset<E> data,
      ExampleEncoder<E> examples,
      Function<E, String> caption) {
    this.examples = data.size();
    trainer =
        opened(
            new Trainer<>(
                model,
                objective(unet, adapter, data, examples, caption),
                config.settings(),
                config.output(),
                from -> {
                  DataLoader.Builder<E> loader =
                      DataLoader.builder(data)
                          .batchSize(config.batchSize())
                          .seed(config.settings().seed())
                          .listener(skip -> {}); // the trainer's listeners hear of them
                  from.ifPresent(loader::position);
                  return loader.build();
                },
                RunIdentity.of(config, files, side),
                lock));
  }

  private int latentSize() {
    int levels = files.model().config("vae").getIntList("block_out_channels").size();
    return side >> (levels - 1);
  }

  /** Autoencoder and text encoders, opened by the first that needs them. */
  private PictureEncoder encoder() {
    if (encoder == null) {
      loading.accept("autoencoder and text encoders");
      encoder =
          opened(new PictureEncoder(EncoderProvider.find().on(device), files, autograd, threads));
    }
    return encoder;
  }

  private PictureValidation validation(UNet2DCondition unet, UnaryOperator<Tensor> adapter) {
    ValidationSettings sampled = config.validation();
    Scheduler scheduler = ValidationSettings.scheduler(config.stage());
    List<PictureValidation.Prompt> prompts = new ArrayList<>();
    for (String prompt : sampled.prompts()) {
      prompts.add(new PictureValidation.Prompt(prompt, prompts.size()));
    }
    return new PictureValidation(
        unet,
        adapter,
        encoder().vae(),
        files.schedulerConfig(scheduler),
        encoder()::encode,
        new PictureValidation.Settings(
            prompts,
            scheduler,
            sampled.steps(),
            sampled.guidanceScale(),
            latentSize(),
            latentSize()),
        config.output());
  }

  // ---- the adapter

  private Path adapterDirectory() {
    return files
        .adapter()
        .orElseThrow(
            () ->
                new LongAlignException(
                    files.model().path()
                        + ": training needs a text adapter: expected a directory adapter, found"
                        + " none; name one, or start with adapter: new in stage align"));
  }

  private TextAdapterConfig adapterConfig() {
    if (config.newAdapter() == 0) {
      return TextAdapterConfig.of(ComponentDirectory.open(adapterDirectory()).config());
    }
    int in =
        ComponentDirectory.open(
                files
                    .t5()
                    .orElseThrow(
                        () ->
                            new LongAlignException(
                                files.model().path()
                                    + ": a text adapter reads T5's hidden states: expected a"
                                    + " directory t5, found none; name one")))
            .config()
            .getInt("d_model");
    int out = files.model().config("unet").getInt("cross_attention_dim");
    return new TextAdapterConfig(in, config.newAdapter(), out);
  }

  private TrainableTextAdapter trainableAdapter(TextAdapterConfig adapter, RandomDropout dropout) {
    if (config.newAdapter() != 0) {
      RandomWeights weights = new RandomWeights(config.settings().seed());
      return TrainableTextAdapter.load(adapter, weights, autograd, DType.F32, dropout);
    }
    try (TensorFile weights = ComponentDirectory.open(adapterDirectory()).weights()) {
      return TrainableTextAdapter.load(
          adapter, new FileWeights(weights), autograd, DType.F32, dropout);
    }
  }

  // ---- the objective

  private <E> Objective<E> objective(
      UNet2DCondition unet,
      UnaryOperator<Tensor> adapter,
      Dataset<E> data,
      ExampleEncoder<E> examples,
      Function<E, String> caption) {
    if (config.reward() != null) {
      loading.accept("preference model, and its common direction");
    }
    SchedulerConfig scheduler = files.schedulerConfig(Scheduler.DDIM);
    checkPrediction(scheduler.predictionType());
    NoiseSchedule schedule = NoiseSchedule.of(scheduler.noise());
    return switch (config.stage()) {
      case ALIGN ->
          new AlignObjective<>(
              unet,
              adapter,
              schedule,
              examples,
              config.align().withPrediction(scheduler.predictionType()));
      case LCM ->
          new LcmObjective<>(
              autograd,
              unet,
              opened(files.loadUNet(autograd, config.precision())),
              adapter,
              schedule,
              examples,
              config.lcm().withPrediction(scheduler.predictionType()));
      case REWARD, REWARD_LCM ->
          new RewardObjective<>(
              autograd,
              unet,
              adapter,
              schedule,
              opened(
                      RewardModel.open(
                          config.reward(),
                          files.model().path(),
                          encoder().vae(),
                          data.map(caption),
                          threads,
                          device))
                  .reward(),
              examples,
              sampling(scheduler));
    };
  }

  /** Their DDIM steps take the network's raw output for the noise, as the published code does. */
  private void checkPrediction(PredictionType type) {
    Stage stage = config.stage();
    if (type == PredictionType.EPSILON || stage == Stage.ALIGN || stage == Stage.REWARD_LCM) {
      return;
    }
    String found =
        files.model().component("scheduler").file("scheduler_config.json")
            + ": stage "
            + stage.key()
            + " takes the network's output for the noise in its DDIM steps, as the published code"
            + " does: expected prediction_type epsilon, found "
            + type.name().toLowerCase(Locale.ROOT);
    if (type == PredictionType.SAMPLE) {
      throw new LongAlignException(
          found + "; train this stage from a model that predicts the noise");
    }
    LOG.warn("{}; it trains, but its steps are not those that sampling takes", found);
  }

  private RewardObjective.Settings sampling(SchedulerConfig scheduler) {
    RewardSettings reward = config.reward();
    return new RewardObjective.Settings(
        config.stage().key(),
        scheduler.predictionType(),
        reward.samplingSteps(),
        reward.every(),
        reward.guidanceScale(),
        config.stage() == Stage.REWARD_LCM,
        latentSize(),
        latentSize());
  }

  // ---- use

  public RunConfig config() {
    return config;
  }

  public TrainedModel model() {
    return model;
  }

  public Trainer<?> trainer() {
    return trainer;
  }

  /** How many examples the data has; empty without end. */
  public OptionalLong examples() {
    return examples;
  }

  /** Side of the pictures in pixels. */
  public int side() {
    return side;
  }

  /** What computes, as the backend names itself. */
  public String backend() {
    return autograd.name();
  }

  /**
   * Writes what sampling needs, with a model card: the stage's LoRA in the formats of the run and,
   * of stage align, the adapter; their averages, if the run has some.
   *
   * @throws LongAlignException if it cannot be written, or there is something else than an earlier
   *     export
   */
  public void export(Path directory) {
    ExportSettings settings =
        ExportSettings.DEFAULT
            .withFormats(config.formats())
            .withName(config.stage().loraFile().replace(".pt", ""));
    Map<String, String> summary = config.summary();
    JsonLinesEvents.totals(config.output())
        .ifPresent(
            totals -> {
              summary.put("smoothedLoss", Double.toString(totals.smoothedLoss()));
              summary.put("trainingSeconds", Long.toString(Math.round(totals.seconds())));
            });
    ModelCard card =
        ModelCard.of("LongAlign, stage " + config.stage().key())
            .withTraining(
                config.stage().key(), trainer.step(), config.data().description(), summary)
            .withBackend(autograd.name())
            .withBaseModel(config.baseModel())
            .withLicense(config.license())
            .withSampling(sampling());
    trainer.withAverages(() -> Exports.write(model, files, settings, card, directory));
  }

  /** What the trained model is sampled with. */
  private SamplingDefaults sampling() {
    return switch (config.stage()) {
      case ALIGN, REWARD -> files.defaults();
      case LCM -> SamplingDefaults.distilled(SamplingDefaults.usualSteps(Scheduler.LCM));
      case REWARD_LCM -> SamplingDefaults.distilled(config.reward().samplingSteps());
    };
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
