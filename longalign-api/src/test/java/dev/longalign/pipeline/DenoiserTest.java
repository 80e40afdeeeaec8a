package dev.longalign.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import dev.longalign.io.Config;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.model.UNet2DConditionConfig;
import dev.longalign.nn.Parameter;
import dev.longalign.nn.RandomWeights;
import dev.longalign.nn.WeightSource;
import dev.longalign.scheduler.Scheduler;
import dev.longalign.scheduler.SchedulerConfig;
import dev.longalign.scheduler.SchedulerRun;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Device;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Random;
import java.util.concurrent.locks.ReentrantLock;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/** What the loop notices of networks that cannot draw. */
class DenoiserTest {
  private static final UNet2DConditionConfig CONFIG =
      UNet2DConditionConfig.of(
          Config.parse(
              "test",
              "{\"block_out_channels\": [8, 8], \"norm_num_groups\": 4, \"attention_head_dim\": 2,"
                  + " \"layers_per_block\": 1, \"cross_attention_dim\": 8, \"down_block_types\":"
                  + " [\"CrossAttnDownBlock2D\", \"DownBlock2D\"], \"up_block_types\":"
                  + " [\"UpBlock2D\", \"CrossAttnUpBlock2D\"]}"));
  private static final Backend BACKEND = Device.cpu().open(1);

  @AfterAll
  static void close() {
    BACKEND.close();
  }

  @Test
  void latentsThatAreNoNumbersEndTheLoopAtTheirStep() {
    int[] steps = {0};
    Denoiser.Observer counter =
        new Denoiser.Observer() {
          @Override
          public void beforeStep(int step) {
            steps[0]++;
          }
        };
    // Finite at first; what they grow to in the second step is not.
    float tooLarge = 3e38f;
    assertThatThrownBy(() -> run(new RandomWeights(1), DType.F32, tooLarge, counter))
        .isInstanceOf(LongAlignException.class)
        .hasMessageMatching(
            "after step \\d of 5 \\(timestep [\\d.]+\\): expected finite latents, found \\d+ of 64 NaN"
                + " or infinite, computed in F32; the UNet's weights are damaged, .*");
    assertThat(steps[0]).isLessThan(5);
    Assumptions.assumeTrue(BACKEND.supports(DType.BF16));
    assertThatThrownBy(() -> run(new RandomWeights(1), DType.BF16, Float.NaN, counter))
        .hasMessageContaining("after step 1 of 5")
        .hasMessageContaining("computed in BF16; sample in f32");
  }

  @Test
  void weightsOfZeroAreToldOnce() {
    WeightSource zeros =
        new WeightSource() {
          @Override
          public void check(List<Parameter> declared) {}

          @Override
          public Tensor load(Backend backend, Parameter parameter) {
            return backend.zeros(DType.F32, parameter.shape());
          }
        };
    String log = logged(() -> run(zeros, DType.F32, 1, Denoiser.Observer.NONE));
    assertThat(log).containsOnlyOnce("the UNet answers 0.0 for every latent");
    assertThat(logged(() -> run(new RandomWeights(1), DType.F32, 1, Denoiser.Observer.NONE)))
        .isEmpty();
  }

  private static void run(
      WeightSource weights, DType dtype, float factor, Denoiser.Observer observer) {
    Random random = new Random(3);
    float[] noise = new float[64];
    for (int i = 0; i < noise.length; i++) {
      noise[i] = factor * (float) Math.tanh(random.nextGaussian());
    }
    try (UNet2DCondition unet = UNet2DCondition.load(CONFIG, weights, BACKEND, dtype);
        TensorScope scope = TensorScope.open();
        SchedulerRun run =
            Scheduler.DDIM.start(SchedulerConfig.stableDiffusion(Scheduler.DDIM), 5)) {
      Tensor context = Tensor.of(BACKEND, Shape.of(1, 2, 8), new float[16]);
      new Denoiser(unet, new ReentrantLock())
          .run(
              run,
              Tensor.of(BACKEND, Shape.of(1, 4, 4, 4), noise),
              context,
              null,
              0,
              () -> null,
              observer);
    }
  }

  /** What is logged to the standard error. */
  private static String logged(Runnable work) {
    PrintStream before = System.err;
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    System.setErr(new PrintStream(bytes, true, StandardCharsets.UTF_8));
    try {
      work.run();
    } finally {
      System.setErr(before);
    }
    return bytes.toString(StandardCharsets.UTF_8);
  }
}
