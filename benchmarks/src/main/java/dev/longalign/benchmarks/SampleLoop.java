package dev.longalign.benchmarks;

import dev.longalign.EmbeddedModel;
import dev.longalign.io.Config;
import dev.longalign.io.ModelDirectory;
import dev.longalign.io.TensorFile;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.model.UNet2DConditionConfig;
import dev.longalign.nn.FileWeights;
import dev.longalign.nn.RandomWeights;
import dev.longalign.pipeline.Denoiser;
import dev.longalign.pipeline.PromptEncoder;
import dev.longalign.random.RandomTensors;
import dev.longalign.random.TorchGenerator;
import dev.longalign.scheduler.Scheduler;
import dev.longalign.scheduler.SchedulerConfig;
import dev.longalign.scheduler.SchedulerRun;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.concurrent.locks.ReentrantLock;

/** One picture's latents with guidance and LongAlign's 480 tokens, without encoders and decoder. */
final class SampleLoop implements AutoCloseable {
  private static final float GUIDANCE = 7.5f;

  private static final String TINY =
      """
      {"block_out_channels": [32, 64], "layers_per_block": 1, "norm_num_groups": 8,
       "attention_head_dim": 2, "cross_attention_dim": 32, "sample_size": 4,
       "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
       "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"]}
      """;

  private final UNet2DCondition unet;
  private final Denoiser denoiser;
  private final TensorScope inputs = TensorScope.detached();
  private final Tensor noise;
  private final Tensor conditional;
  private final Tensor unconditional;
  private final int steps;

  /**
   * @param model whose UNet
   * @param steps of UniPC
   */
  SampleLoop(UNetBenchmark.Model model, Backend backend, DType dtype, int steps) {
    this.unet = load(model, backend, dtype);
    this.denoiser = new Denoiser(unet, new ReentrantLock());
    this.steps = steps;
    TorchGenerator random = new TorchGenerator(1);
    UNet2DConditionConfig config = unet.config();
    try (TensorScope scope = TensorScope.open()) {
      Shape latents = Shape.of(1, model.side(), model.side(), config.inChannels());
      Shape context = Shape.of(1, 2 * PromptEncoder.TOKEN_LENGTH, 1, config.crossAttentionDim());
      noise = inputs.adopt(RandomTensors.randn(backend, random, latents));
      conditional = inputs.adopt(context(backend, random, context, dtype));
      unconditional = inputs.adopt(context(backend, random, context, dtype));
    }
  }

  static UNet2DCondition load(UNetBenchmark.Model model, Backend backend, DType dtype) {
    return switch (model) {
      case sd15 -> random(UNet2DConditionConfig.stableDiffusion15(), backend, dtype);
      case tiny ->
          random(UNet2DConditionConfig.of(Config.parse("tiny UNet", TINY)), backend, dtype);
      case longsd_mini -> {
        ModelDirectory directory = ModelDirectory.open(EmbeddedModel.directory());
        try (TensorFile weights = directory.weights("unet")) {
          UNet2DConditionConfig config = UNet2DConditionConfig.of(directory.config("unet"));
          yield UNet2DCondition.load(config, new FileWeights(weights), backend, dtype);
        }
      }
    };
  }

  private static UNet2DCondition random(
      UNet2DConditionConfig config, Backend backend, DType dtype) {
    return UNet2DCondition.load(config, new RandomWeights(1), backend, dtype);
  }

  private static Tensor context(Backend backend, TorchGenerator random, Shape shape, DType dtype) {
    return RandomTensors.randn(backend, random, shape)
        .reshape(shape.dim(0), shape.dim(1), shape.dim(3))
        .cast(dtype);
  }

  /** The latents after all steps; they belong to the caller's scope. */
  Tensor run() {
    SchedulerConfig config = SchedulerConfig.stableDiffusion(Scheduler.UNIPC);
    try (SchedulerRun run = Scheduler.UNIPC.start(config, steps)) {
      return denoiser.run(
          run, noise, conditional, unconditional, GUIDANCE, () -> noise, Denoiser.Observer.NONE);
    }
  }

  @Override
  public void close() {
    inputs.close();
    unet.close();
  }
}
