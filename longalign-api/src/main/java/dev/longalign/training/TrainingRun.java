package dev.longalign.training;

import dev.longalign.LongAlignException;
import dev.longalign.autograd.AutogradBackend;
import dev.longalign.data.DataLoader;
import dev.longalign.data.Dataset;
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
import dev.longalign.random.TorchGenerator;
import dev.longalign.scheduler.NoiseSchedule;
import dev.longalign.scheduler.Scheduler;
import dev.longalign.scheduler.SchedulerConfig;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Tensor;
import dev.longalign.text.EncoderProvider;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.function.UnaryOperator;

/**
 * A run of one stage from a model's files: opens everything, and closes it again.
 *
 * <pre>{@code
 * RunConfig config = RunConfig.read(Path.of("run.yaml"), Stage.ALIGN);
 * ModelFiles files = ModelFiles.find(directory, null, null, loras, false);
 * try (TrainingRun run = TrainingRun.open(config, files, Device.cpu().open(0), 0)) {
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
  private final AutogradBackend autograd;
  private final int threads;
  private final Deque<AutoCloseable> open = new ArrayDeque<>();
  private TrainedModel model;
  private Trainer<TrainingExample> trainer;

  private TrainingRun(RunConfig config, ModelFiles files, Backend backend, int threads) {
    this.config = config;
    this.files = files;
    this.threads = threads;
    this.autograd = opened(new AutogradBackend(backend, config.checkpointing()));
  }

  /**
   * Opens the networks and the data of a run.
   *
   * @param files the base; LoRAs among them are merged and frozen
   * @param backend computes; closed with the run
   * @param threads for the text encoders and the preference model, 0 for one per core
   * @throws LongAlignException if a file is missing or damaged, or the model has no adapter
   */
  public static TrainingRun open(RunConfig config, ModelFiles files, Backend backend, int threads) {
    TrainingRun run = new TrainingRun(config, files, backend, threads);
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
    PictureEncoder encoder =
        opened(new PictureEncoder(EncoderProvider.find(), files, autograd, threads));
    int scale = 1 << (files.model().config("vae").getIntList("block_out_channels").size() - 1);
    int size = config.resolution() > 0 ? config.resolution() : unetConfig.sampleSize() * scale;
    Dataset<TrainingExample> data =
        opened(config.data().open().map(new PicturePreprocessing(size)));
    trainer =
        opened(
            new Trainer<>(
                model,
                objective(unet, adapter, encoder, size / scale, data),
                config.settings(),
                config.output(),
                from -> {
                  DataLoader.Builder<TrainingExample> loader =
                      DataLoader.builder(data).batchSize(config.batchSize()).seed(seed);
                  from.ifPresent(loader::position);
                  return loader.build();
                }));
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

  private Objective<TrainingExample> objective(
      UNet2DCondition unet,
      UnaryOperator<Tensor> adapter,
      PictureEncoder encoder,
      int latentSize,
      Dataset<TrainingExample> data) {
    SchedulerConfig scheduler = files.schedulerConfig(Scheduler.DDIM);
    NoiseSchedule schedule = NoiseSchedule.of(scheduler.noise());
    return switch (config.stage()) {
      case ALIGN -> new AlignObjective<>(unet, adapter, schedule, encoder, config.align());
      case LCM ->
          new LcmObjective<>(
              autograd,
              unet,
              opened(files.loadUNet(autograd, config.precision())),
              adapter,
              schedule,
              encoder,
              config.lcm().withPrediction(scheduler.predictionType()));
      case REWARD, REWARD_LCM ->
          new RewardObjective<>(
              autograd,
              unet,
              adapter,
              schedule,
              opened(
                      RewardModel.open(
                          config.reward(), files.model().path(), encoder.vae(), data, threads))
                  .reward(),
              encoder,
              sampling(scheduler, latentSize));
    };
  }

  private RewardObjective.Settings sampling(SchedulerConfig scheduler, int latentSize) {
    RewardSettings reward = config.reward();
    return new RewardObjective.Settings(
        config.stage().key(),
        scheduler.predictionType(),
        reward.samplingSteps(),
        reward.every(),
        reward.guidanceScale(),
        config.stage() == Stage.REWARD_LCM,
        latentSize,
        latentSize);
  }

  // ---- use

  public RunConfig config() {
    return config;
  }

  public TrainedModel model() {
    return model;
  }

  public Trainer<TrainingExample> trainer() {
    return trainer;
  }

  /** Writes what sampling needs: the stage's LoRA and, of stage align, the adapter. */
  public void export(Path directory) {
    model.export(directory, config.stage().loraFile());
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
