package dev.longalign.training;

import dev.longalign.LongAlignException;
import dev.longalign.autograd.AutogradBackend;
import dev.longalign.data.DataLoader;
import dev.longalign.data.Dataset;
import dev.longalign.data.FeatureExample;
import dev.longalign.data.PicturePreprocessing;
import dev.longalign.data.TrainingExample;
import dev.longalign.io.ComponentDirectory;
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
import java.util.Map;
import java.util.function.Function;
import java.util.function.UnaryOperator;

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
  private final RunConfig config;
  private final ModelFiles files;
  private final Device device;
  private final AutogradBackend autograd;
  private final int threads;
  private final Deque<AutoCloseable> open = new ArrayDeque<>();
  private TrainedModel model;
  private PictureEncoder encoder;
  private Trainer<?> trainer;

  private TrainingRun(RunConfig config, ModelFiles files, Device device, int threads) {
    this.config = config;
    this.files = files;
    this.device = device.resolved();
    this.threads = threads;
    this.autograd = opened(new AutogradBackend(this.device.open(threads), config.checkpointing()));
  }

  /**
   * Opens the networks and the data of a run.
   *
   * @param files the base; LoRAs among them are merged and frozen
   * @param device trains; the text encoders and the preference model run there too, if they can:
   *     those that cannot log why and run on the CPU
   * @param threads of the CPU, 0 for one per core
   * @throws LongAlignException if the device cannot be used, a file is missing or damaged, or the
   *     model has no adapter
   */
  public static TrainingRun open(RunConfig config, ModelFiles files, Device device, int threads) {
    TrainingRun run = new TrainingRun(config, files, device, threads);
    try {
      run.build();
      return run;
    } catch (RuntimeException e) {
      run.close();
      throw e;
    }
  }

  private <T extends AutoCloseable> T opened(T resource) {
    open.push(resource);
    return resource;
  }

  private void build() {
    UNet2DConditionConfig unetConfig = UNet2DConditionConfig.of(files.model().config("unet"));
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
    UNet2DCondition unet = opened(files.loadUNet(autograd, config.precision(), lora.branches()));
    if (config.data().kind() == TrainingData.Kind.CACHE) {
      Path cache = Path.of(config.data().location());
      CachedFeatures features = opened(CachedFeatures.open(cache, files, autograd));
      train(unet, adapter, features.examples(), features.encoder(), FeatureExample::caption);
    } else {
      Dataset<TrainingExample> pictures =
          opened(config.data().open().map(new PicturePreprocessing(pictureSize())));
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
                          .seed(config.settings().seed());
                  from.ifPresent(loader::position);
                  return loader.build();
                }));
  }

  private int pictureSize() {
    return config.resolution() > 0 ? config.resolution() : files.nativeSize();
  }

  private int latentSize() {
    int levels = files.model().config("vae").getIntList("block_out_channels").size();
    return pictureSize() >> (levels - 1);
  }

  /** Autoencoder and text encoders, opened by the first that needs them. */
  private PictureEncoder encoder() {
    if (encoder == null) {
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
    SchedulerConfig scheduler = files.schedulerConfig(Scheduler.DDIM);
    NoiseSchedule schedule = NoiseSchedule.of(scheduler.noise());
    return switch (config.stage()) {
      case ALIGN -> new AlignObjective<>(unet, adapter, schedule, examples, config.align());
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
        throw new LongAlignException("closing the run: " + e, e);
      }
    }
  }
}
