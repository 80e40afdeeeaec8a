package dev.longalign.tensor.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import dev.longalign.io.Config;
import dev.longalign.io.TensorFiles;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.model.UNet2DConditionConfig;
import dev.longalign.nn.FileWeights;
import dev.longalign.pipeline.Denoiser;
import dev.longalign.random.RandomTensors;
import dev.longalign.random.TorchGenerator;
import dev.longalign.scheduler.Scheduler;
import dev.longalign.scheduler.SchedulerConfig;
import dev.longalign.scheduler.SchedulerRun;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Device;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.MemoryUse;
import dev.longalign.tensor.OperationCost;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.locks.ReentrantLock;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.JCudaDriver;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;

/** The denoising loop of the tiny model: replayed, and out of memory. */
@EnabledIf(value = Emulator.IS_BUILT, disabledReason = Emulator.MISSING)
class DenoisingTest {
  @BeforeEach
  void emulated() {
    Emulator.require();
  }

  private static UNet2DCondition unet(Backend backend) {
    Path folder = Golden.folder().resolve("models/tiny-longsd/unet");
    return UNet2DCondition.load(
        UNet2DConditionConfig.of(Config.read(folder.resolve("config.json"))),
        new FileWeights(TensorFiles.open(folder.resolve("diffusion_pytorch_model.safetensors"))),
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
      Tensor start = RandomTensors.randn(backend, random, Shape.of(1, 8, 8, 4));
      Tensor[] starts = new Tensor[batch];
      java.util.Arrays.fill(starts, start);
      Tensor conditional = RandomTensors.randn(backend, random, Shape.of(1, 1, 5, width)).reshape(1, 5, width);
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
      CUdeviceptr others = new CUdeviceptr();
      CudaDriver.check(
          JCudaDriver.cuMemAlloc(others, unused() - 2 * (use.peak() - use.live())), "others");
      try {
        assertThatThrownBy(() -> latents(unet, 8, 1))
            .isInstanceOf(LongAlignException.class)
            .hasMessageContainingAll("out of memory", "bytes more needed for the F32 [16, ", " of ")
            .hasMessageContaining(String.format(Locale.ROOT, "weights %,d", weights));
        assertThat(backend.memory().live()).as("nothing is left").isEqualTo(weights);
        assertThat(latents(unet, 1, 1)).isEqualTo(alone);
      } finally {
        JCudaDriver.cuMemFree(others);
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
