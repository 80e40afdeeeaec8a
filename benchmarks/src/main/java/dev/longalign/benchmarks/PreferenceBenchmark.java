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

/** Reweighting of texts and the gradient of their scores, ViT-H's width: a batch, and a corpus. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class PreferenceBenchmark {
  private static final int WIDTH = 1024;

  @Param({"48", "65536"})
  public int rows;

  private Tensor texts;
  private Tensor images;

  @Setup
  public void inputs(Lab lab) {
    try (TensorScope scope = TensorScope.open()) {
      texts = lab.shared().adopt(lab.normal(1, rows, WIDTH));
      images = lab.shared().adopt(lab.normal(10, rows, WIDTH));
    }
  }

  @Benchmark
  public float reweight() {
    try (TensorScope scope = TensorScope.open()) {
      return Lab.await(texts.reweight(null, 0.3f).texts());
    }
  }

  @Benchmark
  public float gradient() {
    try (TensorScope scope = TensorScope.open()) {
      return Lab.await(texts.preferenceGradient(images).gradient());
    }
  }

  /** Elements that both operations move: reweighting reads its texts twice. */
  static double elements(int rows) {
    return 3.0 * rows * WIDTH;
  }
}
