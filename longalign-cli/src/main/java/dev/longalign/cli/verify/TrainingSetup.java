package dev.longalign.cli.verify;

import dev.longalign.autograd.AutogradBackend;
import dev.longalign.io.ComponentDirectory;
import dev.longalign.io.Config;
import dev.longalign.model.Lora;
import dev.longalign.model.TextAdapterConfig;
import dev.longalign.model.TrainableLora;
import dev.longalign.model.TrainableTextAdapter;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.model.UNet2DConditionConfig;
import dev.longalign.nn.LayerDropout;
import dev.longalign.scheduler.NoiseSchedule;
import dev.longalign.scheduler.Scheduler;
import dev.longalign.scheduler.SchedulerConfig;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Tensor;
import dev.longalign.training.TrainedModel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Predicate;

/** The model of a recorded training step: a frozen UNet with a LoRA, and in stage 1 an adapter. */
final class TrainingSetup implements AutoCloseable {
  private final Bench bench;
  private final Vectors vectors;
  private final Path model;
  private final Path component;
  private final AutogradBackend autograd;
  private TrainableLora lora;
  private TrainableTextAdapter adapter;
  private UNet2DCondition unet;
  private UNet2DCondition teacher;
  private final TrainedModel trained;

  TrainingSetup(Bench bench, Vectors vectors, boolean trainAdapter) {
    this.bench = bench;
    this.vectors = vectors;
    this.model = bench.model(vectors);
    this.component = bench.part(vectors, "unet_train", TrainingSetup::isUNet);
    this.autograd = new AutogradBackend(bench.backend(), true);
    try {
      trained = load(trainAdapter);
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  private static boolean isUNet(Path directory) {
    Path config = directory.resolve("config.json");
    return Files.isRegularFile(config)
        && Config.read(config).getString("_class_name", "").startsWith("UNet2D");
  }

  private TrainedModel load(boolean trainAdapter) {
    LayerDropout dropout =
        vectors.names().stream().anyMatch(name -> name.startsWith("mask:"))
            ? this::masked
            : LayerDropout.NONE;
    UNet2DConditionConfig config = UNetCases.config(component);
    Lora initial = Lora.read(model.resolve(loraFile()), UNet2DCondition.layers(config));
    lora = TrainableLora.of(autograd, UNet2DCondition.loraLayers(config), initial, dropout);
    unet =
        UNet2DCondition.load(
            config, Bench.weights(component), autograd, DType.F32, lora.branches());
    if (!trainAdapter) {
      return TrainedModel.of(autograd, lora, null);
    }
    Path directory = bench.adapter(model);
    TextAdapterConfig adapterConfig =
        TextAdapterConfig.of(ComponentDirectory.open(directory).config());
    adapter =
        TrainableTextAdapter.load(
            adapterConfig, Bench.weights(directory), autograd, DType.F32, dropout);
    return new TrainedModel(autograd, lora, adapter, adapterConfig, null);
  }

  private String loraFile() {
    return Values.found("([\\w-]+\\.pt)\\b", vectors.prose()).stream()
        .filter(name -> Files.isRegularFile(model.resolve(name)))
        .findFirst()
        .orElse("lora_train_init.pt");
  }

  /** A recorded mask, in the reference's layout. */
  private Tensor masked(String layer, Tensor x) {
    String name = "mask:" + (layer.startsWith("ff") ? "adapter." + layer : layer);
    boolean picture = vectors.shape(name).rank() == 4;
    Tensor mask = picture ? vectors.nhwc(autograd, name) : vectors.tensor(autograd, name);
    float kept = new TrainingRecipe(vectors).kept();
    return x.multiply(mask.scale(1 / kept).reshape(x.shape().toArray()));
  }

  AutogradBackend autograd() {
    return autograd;
  }

  UNet2DCondition unet() {
    return unet;
  }

  /** Frozen, without LoRA. */
  UNet2DCondition teacher() {
    if (teacher == null) {
      teacher =
          UNet2DCondition.load(
              UNetCases.config(component), Bench.weights(component), autograd, DType.F32);
    }
    return teacher;
  }

  /** In training. */
  TrainableTextAdapter adapter() {
    return adapter;
  }

  TrainedModel trained() {
    return trained;
  }

  Path model() {
    return model;
  }

  /** The part of the model that the file's words name and that matches, else that of a name. */
  Path part(String name, Predicate<Path> matches) {
    return bench.part(vectors, name, matches);
  }

  int threads() {
    return bench.threads();
  }

  NoiseSchedule schedule() {
    return NoiseSchedule.of(
        SchedulerConfig.read(model.resolve("scheduler/scheduler_config.json"), Scheduler.DDIM)
            .noise());
  }

  @Override
  public void close() {
    for (AutoCloseable part : new AutoCloseable[] {teacher, unet, adapter, lora}) {
      try {
        if (part != null) {
          part.close();
        }
      } catch (Exception e) {
        throw new IllegalStateException(e);
      }
    }
  }
}
