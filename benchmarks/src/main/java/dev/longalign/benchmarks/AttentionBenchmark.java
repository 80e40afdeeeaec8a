package dev.longalign.benchmarks;

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

/**
 * Attention as Stable Diffusion 1.5 needs it for 512 x 512 pixels with guidance (batch 2) and long
 * prompts (480 keys).
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 3, time = 2)
@Measurement(iterations = 5, time = 2)
@Fork(1)
public class AttentionBenchmark {
  /** Attention layers of the UNet, and the only one of the VAE's decoder. */
  public enum Layer {
    down0_self_attn(2, 4096, 4096, 8, 40),
    down0_cross_attn(2, 4096, 480, 8, 40),
    down1_self_attn(2, 1024, 1024, 8, 80),
    down1_cross_attn(2, 1024, 480, 8, 80),
    mid_self_attn(2, 64, 64, 8, 160),
    vae_mid_attn(1, 4096, 4096, 1, 512),
    /** For tests. */
    tiny(1, 16, 16, 2, 40);

    private final int batch;
    private final int queries;
    private final int keys;
    private final int heads;
    private final int headSize;

    Layer(int batch, int queries, int keys, int heads, int headSize) {
      this.batch = batch;
      this.queries = queries;
      this.keys = keys;
      this.heads = heads;
      this.headSize = headSize;
    }

    /** The tensor cores take 16 columns at a time. */
    double padding() {
      return (headSize + 15) / 16 * 16 / (double) headSize;
    }

    /** Two products of two operations per multiplication; the softmax is not counted. */
    double flops() {
      return 4.0 * batch * queries * keys * heads * headSize;
    }
  }

  @Param({
    "down0_self_attn",
    "down0_cross_attn",
    "down1_self_attn",
    "down1_cross_attn",
    "mid_self_attn",
    "vae_mid_attn"
  })
  public Layer layer;

  private Tensor q;
  private Tensor k;
  private Tensor v;

  @Setup
  public void inputs(Lab lab) {
    try (TensorScope scope = TensorScope.open()) {
      long width = (long) layer.heads * layer.headSize;
      q = lab.shared().adopt(lab.normal(1, layer.batch, layer.queries, width));
      k = lab.shared().adopt(lab.normal(1, layer.batch, layer.keys, width));
      v = lab.shared().adopt(lab.normal(1, layer.batch, layer.keys, width));
    }
  }

  @Benchmark
  public Tensor attention(Lab lab) {
    try (TensorScope scope = TensorScope.open()) {
      return Lab.await(enqueue());
    }
  }

  Tensor enqueue() {
    return q.attention(k, v, layer.heads, (float) (1 / Math.sqrt(layer.headSize)));
  }
}
