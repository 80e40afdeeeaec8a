package dev.longalign.benchmarks;

import dev.longalign.model.PreparedContext;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/** One denoising step with guidance (batch 2) and a context of 480 tokens. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 3, time = 2)
@Measurement(iterations = 5, time = 2)
@Fork(1)
public class UNetBenchmark {
  private static final int BATCH = 2;
  private static final int CONTEXT = 480;

  /** Whose UNet. */
  public enum Model {
    /** The embedded model, 5.9 M parameters, 96 x 96 pixels. */
    longsd_mini(12),
    /** Stable Diffusion 1.5 with random weights, 860 M parameters, 512 x 512 pixels. */
    sd15(64),
    /** Two levels of random weights, for tests. */
    tiny(4);

    private final int side;

    Model(int side) {
      this.side = side;
    }

    /** Of the latents. */
    int side() {
      return side;
    }
  }

  @Param({"longsd_mini", "sd15"})
  public Model model;

  private UNet2DCondition unet;
  private Tensor latents;
  private PreparedContext context;

  @Setup
  public void load(Lab lab) {
    unet = SampleLoop.load(model, lab.backend(), lab.dtype);
    lab.closeAtEnd(unet);
    try (TensorScope scope = TensorScope.open()) {
      latents =
          lab.shared().adopt(lab.f32(1, BATCH, model.side, model.side, unet.config().inChannels()));
      Tensor hidden = lab.f32(1, BATCH, CONTEXT, unet.config().crossAttentionDim());
      context = unet.prepareContext(hidden).adoptInto(lab.shared());
    }
  }

  @Benchmark
  public Tensor step() {
    try (TensorScope scope = TensorScope.open()) {
      return Lab.await(unet.forward(latents, 499, context));
    }
  }
}
