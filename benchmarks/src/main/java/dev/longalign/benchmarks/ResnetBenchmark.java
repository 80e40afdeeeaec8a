package dev.longalign.benchmarks;

import dev.longalign.tensor.Activation;
import dev.longalign.tensor.Conv2dGeometry;
import dev.longalign.tensor.Conv2dWeight;
import dev.longalign.tensor.Epilogue;
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

/** The two halves of a residual block at the four resolutions of Stable Diffusion 1.5, batch 2. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 3, time = 2)
@Measurement(iterations = 5, time = 2)
@Fork(1)
public class ResnetBenchmark {
  private static final int BATCH = 2;
  private static final int GROUPS = 32;

  /** {@code conv2} of a residual block of each level: as many channels out as in. */
  public enum Layer {
    down0_conv2(64, 320),
    down1_conv2(32, 640),
    down2_conv2(16, 1280),
    mid_conv2(8, 1280),
    /** For tests. */
    tiny(4, 64);

    private final int side;
    private final int channels;

    Layer(int side, int channels) {
      this.side = side;
      this.channels = channels;
    }

    /** Nine taps, two operations per multiplication. */
    double convolutionFlops() {
      return 2.0 * BATCH * side * side * 9 * channels * channels;
    }

    /** Read twice (statistics, then values) and written once. */
    double normElements() {
      return 3.0 * BATCH * side * side * channels;
    }
  }

  @Param({"down0_conv2", "down1_conv2", "down2_conv2", "mid_conv2"})
  public Layer layer;

  private Tensor x;
  private Tensor gamma;
  private Tensor beta;
  private Conv2dWeight weight;

  @Setup
  public void inputs(Lab lab) {
    try (TensorScope scope = TensorScope.open()) {
      int channels = layer.channels;
      Conv2dGeometry geometry = Conv2dGeometry.of(channels, channels, 3, 1, 1);
      Tensor kernel = lab.f32(1 / Math.sqrt(9 * channels), geometry.weightShape().toArray());
      weight =
          lab.shared()
              .adopt(lab.backend().packConv2d(kernel, lab.f32(1, channels), geometry, lab.dtype));
      x = lab.shared().adopt(lab.normal(1, BATCH, layer.side, layer.side, channels));
      gamma = lab.shared().adopt(lab.f32(1, channels));
      beta = lab.shared().adopt(lab.f32(1, channels));
    }
  }

  @Benchmark
  public Tensor conv3x3(Lab lab) {
    try (TensorScope scope = TensorScope.open()) {
      return Lab.await(enqueueConvolution());
    }
  }

  Tensor enqueueConvolution() {
    return x.conv2d(weight, Epilogue.residual(x));
  }

  @Benchmark
  public Tensor groupNormSilu(Lab lab) {
    try (TensorScope scope = TensorScope.open()) {
      return Lab.await(enqueueNorm());
    }
  }

  Tensor enqueueNorm() {
    return x.groupNorm(GROUPS, gamma, beta, 1e-5f, Activation.SILU);
  }
}
