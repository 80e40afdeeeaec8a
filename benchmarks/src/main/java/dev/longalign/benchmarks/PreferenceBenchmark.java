package dev.longalign.benchmarks;

import dev.longalign.tensor.PreferenceGradient;
import dev.longalign.tensor.ReweightedTexts;
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

/** Reweighting by the common direction and the projected gradient, features of CLIP's size. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class PreferenceBenchmark {
  private static final int WIDTH = 1024;
  private static final float OMEGA = 0.3f;

  /** As many texts, and as many pictures. */
  @Param("10000")
  public int pairs;

  private Tensor texts;
  private Tensor images;
  private Tensor direction;

  @Setup
  public void inputs(Lab lab) {
    try (TensorScope scope = TensorScope.open()) {
      texts = lab.shared().adopt(lab.normal(1 / Math.sqrt(WIDTH), pairs, WIDTH));
      images = lab.shared().adopt(lab.normal(1, pairs, WIDTH));
      direction = lab.shared().adopt(lab.f32(1 / Math.sqrt(WIDTH), WIDTH));
    }
  }

  /** With a known direction, as in training. */
  @Benchmark
  public ReweightedTexts reweight() {
    try (TensorScope scope = TensorScope.open()) {
      ReweightedTexts y = enqueueReweight();
      Lab.await(y.texts());
      return y;
    }
  }

  ReweightedTexts enqueueReweight() {
    return texts.reweight(direction, OMEGA);
  }

  @Benchmark
  public PreferenceGradient gradient() {
    try (TensorScope scope = TensorScope.open()) {
      PreferenceGradient y = enqueueGradient();
      Lab.await(y.gradient());
      return y;
    }
  }

  PreferenceGradient enqueueGradient() {
    return texts.preferenceGradient(images);
  }

  /** Of features. */
  static double elements(int pairs) {
    return (double) pairs * WIDTH;
  }
}
