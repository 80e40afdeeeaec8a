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

/** All steps of one picture: UniPC with guidance, encoders and decoder excluded. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 2, time = 2)
@Measurement(iterations = 5, time = 2)
@Fork(1)
public class SampleBenchmark {
  @Param({"longsd_mini", "sd15"})
  public UNetBenchmark.Model model;

  @Param("25")
  public int steps;

  private SampleLoop loop;

  @Setup
  public void load(Lab lab) {
    loop = new SampleLoop(model, lab.backend(), lab.dtype, steps);
    lab.closeAtEnd(loop);
  }

  @Benchmark
  public Tensor loop() {
    try (TensorScope scope = TensorScope.open()) {
      return Lab.await(loop.run());
    }
  }
}
