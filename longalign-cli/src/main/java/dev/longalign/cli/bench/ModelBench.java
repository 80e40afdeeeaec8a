package dev.longalign.cli.bench;

import dev.longalign.EmbeddedModel;
import dev.longalign.LongAlignException;
import dev.longalign.io.Config;
import dev.longalign.io.ModelDirectory;
import dev.longalign.model.AutoencoderKL;
import dev.longalign.model.AutoencoderKLConfig;
import dev.longalign.model.PreparedContext;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.model.UNet2DConditionConfig;
import dev.longalign.nn.RandomWeights;
import dev.longalign.pipeline.PromptEncoder;
import dev.longalign.random.RandomTensors;
import dev.longalign.random.TorchGenerator;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Device;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.nio.file.Path;

/**
 * Times the networks with random weights: speed does not depend on their values, and a size can be
 * tried without its files.
 */
public final class ModelBench {
  private static final long SEED = 1;

  /**
   * @param config {@code sd15}, {@code mini} or a diffusers directory
   * @param threads 0 for one per core
   * @param batch latents in a step
   * @param size side of the picture in pixels, 0 for the model's own
   * @param runs how often to time, at least 1
   */
  public record Settings(
      String config, Device device, int threads, DType dtype, int batch, int size, int runs) {
    public Settings {
      if (runs < 1 || batch < 1 || threads < 0 || size < 0 || size % 8 != 0) {
        throw new LongAlignException(
            "bench: expected runs and batch of at least 1, threads of at least 0 and a size that is a"
                + " multiple of 8, found runs "
                + runs
                + ", batch "
                + batch
                + ", threads "
                + threads
                + ", size "
                + size);
      }
    }

    Backend open() {
      Backend backend = device.open(threads);
      if (!backend.supports(dtype)) {
        String name = backend.name();
        backend.close();
        throw new LongAlignException(name + " does not compute in " + dtype + "; use f32");
      }
      return backend;
    }

    Path directory() {
      return config.equals("mini") ? EmbeddedModel.directory() : Path.of(config);
    }

    private Config component(String name) {
      return ModelDirectory.open(directory()).config(name);
    }

    UNet2DConditionConfig unet() {
      return config.equals("sd15")
          ? UNet2DConditionConfig.stableDiffusion15()
          : UNet2DConditionConfig.of(component("unet"));
    }

    AutoencoderKLConfig vae() {
      return config.equals("sd15")
          ? AutoencoderKLConfig.stableDiffusion15()
          : AutoencoderKLConfig.of(component("vae"));
    }

    /** Side of the latents. */
    int latentSize() {
      return size == 0 ? unet().sampleSize() : size / vae().downscale();
    }
  }

  private ModelBench() {}

  /** One pass of the UNet over a batch, with LongAlign's 480 tokens of context. */
  public static Measurement unet(Settings settings, Runnable progress) {
    UNet2DConditionConfig config = settings.unet();
    int side = settings.latentSize();
    Shape latentShape = Shape.of(settings.batch(), side, side, config.inChannels());
    Shape contextShape =
        Shape.of(settings.batch(), 1, 2 * PromptEncoder.TOKEN_LENGTH, config.crossAttentionDim());
    TorchGenerator random = new TorchGenerator(SEED);
    try (Backend backend = settings.open();
        UNet2DCondition unet =
            UNet2DCondition.load(config, new RandomWeights(SEED), backend, settings.dtype());
        TensorScope scope = TensorScope.open()) {
      Tensor latents = RandomTensors.randn(backend, random, latentShape);
      Tensor context =
          RandomTensors.randn(backend, random, contextShape)
              .reshape(contextShape.dim(0), contextShape.dim(2), contextShape.dim(3));
      PreparedContext prepared = unet.prepareContext(context);
      return Runs.measure(
          "UNet "
              + settings.config()
              + " "
              + settings.dtype()
              + " latents "
              + latentShape
              + " context "
              + context.shape(),
          backend,
          settings.runs(),
          () -> unet.forward(latents, 500, prepared),
          progress);
    }
  }

  /** Decoding one picture. */
  public static Measurement vae(Settings settings, Runnable progress) {
    AutoencoderKLConfig config = settings.vae();
    int side = settings.latentSize();
    Shape shape = Shape.of(1, side, side, config.latentChannels());
    try (Backend backend = settings.open();
        AutoencoderKL vae =
            AutoencoderKL.load(config, new RandomWeights(SEED), backend, settings.dtype());
        TensorScope scope = TensorScope.open()) {
      Tensor latents =
          RandomTensors.randn(backend, new TorchGenerator(SEED), shape).cast(settings.dtype());
      return Runs.measure(
          "VAE decode " + settings.config() + " " + settings.dtype() + " latents " + shape,
          backend,
          settings.runs(),
          () -> vae.decode(latents),
          progress);
    }
  }
}
