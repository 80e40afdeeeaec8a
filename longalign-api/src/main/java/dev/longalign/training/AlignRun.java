package dev.longalign.training;

import dev.longalign.LongAlignException;
import dev.longalign.autograd.AutogradBackend;
import dev.longalign.data.DataLoader;
import dev.longalign.data.Dataset;
import dev.longalign.data.ImageFolderDataset;
import dev.longalign.data.PicturePreprocessing;
import dev.longalign.data.TrainingExample;
import dev.longalign.data.panels.PanelsDataset;
import dev.longalign.io.ComponentDirectory;
import dev.longalign.io.TensorFile;
import dev.longalign.model.TextAdapterConfig;
import dev.longalign.model.TrainableLora;
import dev.longalign.model.TrainableTextAdapter;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.model.UNet2DConditionConfig;
import dev.longalign.nn.FileWeights;
import dev.longalign.nn.RandomDropout;
import dev.longalign.pipeline.ModelFiles;
import dev.longalign.random.TorchGenerator;
import dev.longalign.scheduler.NoiseSchedule;
import dev.longalign.scheduler.Scheduler;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.text.EncoderProvider;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;

/**
 * A run of stage 1 from a model's files: opens everything, and closes it again.
 *
 * <pre>{@code
 * try (AlignRun run = new AlignRun(RunConfig.read(file), files, Device.cpu().open(0), 0)) {
 *   run.trainer().resume();
 *   run.trainer().trainTo(config.steps());
 *   run.model().export(config.output().resolve("export"));
 * }
 * }</pre>
 */
public final class AlignRun implements AutoCloseable {
  private final Deque<AutoCloseable> open = new ArrayDeque<>();
  private final TrainedModel model;
  private final Trainer<TrainingExample> trainer;

  /**
   * @param files the base; LoRAs among them are merged and frozen
   * @param backend computes; closed with the run
   * @param threads for the text encoders, 0 for one per core
   * @throws LongAlignException if a file is missing or damaged, or the model has no adapter
   */
  public AlignRun(RunConfig config, ModelFiles files, Backend backend, int threads) {
    AutogradBackend autograd = opened(new AutogradBackend(backend, config.checkpointing()));
    try {
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
      Path adapterPath =
          files
              .adapter()
              .orElseThrow(
                  () ->
                      new LongAlignException(
                          files.model().path()
                              + ": training continues from a text adapter: expected a directory"
                              + " adapter, found none; name one"));
      ComponentDirectory directory = ComponentDirectory.open(adapterPath);
      TextAdapterConfig adapterConfig = TextAdapterConfig.of(directory.config());
      TrainableTextAdapter adapter;
      try (TensorFile weights = directory.weights()) {
        adapter =
            opened(
                TrainableTextAdapter.load(
                    adapterConfig, new FileWeights(weights), autograd, DType.F32, dropout));
      }
      UNet2DCondition unet = opened(files.loadUNet(autograd, DType.F32, lora.branches()));
      PictureEncoder encoder =
          opened(new PictureEncoder(EncoderProvider.find(), files, autograd, threads));
      int size = config.resolution() > 0 ? config.resolution() : nativeSize(files, unetConfig);
      Dataset<TrainingExample> data = opened(data(config, seed, size));
      model = new TrainedModel(autograd, lora, adapter, adapterConfig, dropout);
      AlignObjective<TrainingExample> objective =
          new AlignObjective<>(
              unet,
              adapter::forward,
              NoiseSchedule.of(files.schedulerConfig(Scheduler.DDIM).noise()),
              encoder,
              new AlignObjective.Settings(config.captionDropout(), config.huber()));
      trainer =
          opened(
              new Trainer<>(
                  model,
                  objective,
                  config.settings(),
                  config.output(),
                  from -> {
                    DataLoader.Builder<TrainingExample> loader =
                        DataLoader.builder(data).batchSize(config.batchSize()).seed(seed);
                    from.ifPresent(loader::position);
                    return loader.build();
                  }));
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  private <T extends AutoCloseable> T opened(T resource) {
    open.push(resource);
    return resource;
  }

  private static int nativeSize(ModelFiles files, UNet2DConditionConfig unet) {
    int levels = files.model().config("vae").getIntList("block_out_channels").size();
    return unet.sampleSize() << (levels - 1);
  }

  private static Dataset<TrainingExample> data(RunConfig config, long seed, int size) {
    Dataset<TrainingExample> data =
        config.data().equals(RunConfig.PANELS)
            ? PanelsDataset.endless(PanelsDataset.Captions.LONG, seed)
            : ImageFolderDataset.open(Path.of(config.data()));
    return data.map(new PicturePreprocessing(size));
  }

  public TrainedModel model() {
    return model;
  }

  public Trainer<TrainingExample> trainer() {
    return trainer;
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
