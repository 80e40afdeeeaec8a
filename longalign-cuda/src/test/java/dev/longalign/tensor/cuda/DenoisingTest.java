package dev.longalign.tensor.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.longalign.LongAlignException;
import dev.longalign.io.Config;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.model.UNet2DConditionConfig;
import dev.longalign.nn.RandomWeights;
import dev.longalign.pipeline.Denoiser;
import dev.longalign.random.RandomTensors;
import dev.longalign.random.TorchGenerator;
import dev.longalign.scheduler.Scheduler;
import dev.longalign.scheduler.SchedulerConfig;
import dev.longalign.scheduler.SchedulerRun;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Device;
import dev.longalign.tensor.MemoryUse;
import dev.longalign.tensor.OperationCost;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.concurrent.locks.ReentrantLock;
import jcuda.driver.JCudaDriver;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;

/** The denoising loop of a tiny model: replayed, and out of memory. */
@EnabledIf(value = Emulator.IS_BUILT, disabledReason = Emulator.MISSING)
class DenoisingTest {
  @BeforeEach
  void emulated() {
    Emulator.require();
  }

  /** One level with attention, and random weights: the emulator is slow. */
  private static UNet2DCondition unet(Backend backend) {
    JsonObject json =
        JsonParser.parseString(
                """
                {"block_out_channels": [32], "cross_attention_dim": 16, "layers_per_block": 1,
                 "attention_head_dim": 2, "down_block_types": ["CrossAttnDownBlock2D"],
                 "up_block_types": ["CrossAttnUpBlock2D"], "norm_num_groups": 8, "sample_size": 4}
                """)
            .getAsJsonObject();
    return UNet2DCondition.load(
        UNet2DConditionConfig.of(Config.of("unet", json)),
        new RandomWeights(1),
        backend,
        DType.F32);
  }

  private static float[] latents(UNet2DCondition unet, int batch, int steps) {
    Backend backend = unet.backend();
    TorchGenerator random = new TorchGenerator(1);
    long width = unet.config().crossAttentionDim();
    try (TensorScope scope = TensorScope.open();
        SchedulerRun run =
            Scheduler.UNIPC.start(SchedulerConfig.stableDiffusion(Scheduler.UNIPC), steps)) {
      Tensor start = RandomTensors.randn(backend, random, Shape.of(1, 4, 4, 4));
      Tensor[] starts = new Tensor[batch];
      java.util.Arrays.fill(starts, start);
      Tensor conditional =
          RandomTensors.randn(backend, random, Shape.of(1, 1, 5, width)).reshape(1, 5, width);
      Tensor[] prompts = new Tensor[batch];
      java.util.Arrays.fill(prompts, conditional);
      return new Denoiser(unet, new ReentrantLock())
          .run(
              run,
              Tensor.concat(0, starts),
              Tensor.concat(0, prompts),
              Tensor.concat(0, prompts).scale(0.5f),
              7.5f,
              () -> {
                throw new AssertionError("UniPC asks for no noise");
              },
              Denoiser.Observer.NONE)
          .toFloats();
    }
  }

  @Test
  void replayedStepsAreTheStepsBitForBit() {
    float[] replayed;
    try (Backend backend = Device.cuda(0).open(0);
        UNet2DCondition unet = unet(backend)) {
      long before = backend.memory().live();
      replayed = latents(unet, 1, 3);
      assertThat(backend.memory().live()).as("no graph is left").isEqualTo(before);
      assertThat(backend.costs().get("replay").calls()).isEqualTo(2);
    }
    System.setProperty("longalign.cuda.graphs", "false");
    try (Backend backend = Device.cuda(0).open(0);
        UNet2DCondition unet = unet(backend)) {
      assertThat(latents(unet, 1, 3)).isEqualTo(replayed);
      OperationCost replay = backend.costs().get("replay");
      assertThat(replay).isNull();
    } finally {
      System.clearProperty("longalign.cuda.graphs");
    }
  }

  /** Somebody else takes the device's memory but for twice what one picture needs. */
  @Test
  void afterABatchThatDoesNotFitASmallerOneDoes() {
    long before = unused();
    try (Backend backend = Device.cuda(0).open(0);
        UNet2DCondition unet = unet(backend)) {
      long weights = backend.memory().live();
      backend.resetPeakMemory();
      float[] alone = latents(unet, 1, 1);
      MemoryUse use = backend.memory();
      try (CudaDevice device = new CudaDevice(0)) {
        CudaMemory others = new CudaMemory(device, false);
        others.allocate(unused() - 2 * (use.peak() - use.live()));
        assertThatThrownBy(() -> latents(unet, 8, 1))
            .isInstanceOf(LongAlignException.class)
            .hasMessageContainingAll(
                "out of memory", "bytes more needed for the F32 [16, 4, 4, 32] of", "(weights ");
        assertThat(backend.memory().live()).as("nothing is left").isEqualTo(weights);
        assertThat(latents(unet, 1, 1)).isEqualTo(alone);
        others.close();
      }
      backend.limitMemory(weights + 2 * (use.peak() - use.live()));
      assertThatThrownBy(() -> latents(unet, 8, 1)).hasMessageContaining("maxMemory");
      assertThat(latents(unet, 1, 1)).isEqualTo(alone);
    }
    assertThat(unused()).isEqualTo(before);
  }

  private static long unused() {
    try (CudaDevice device = new CudaDevice(0)) {
      long[] unused = new long[1];
      JCudaDriver.cuMemGetInfo(unused, new long[1]);
      return unused[0];
    }
  }
}
