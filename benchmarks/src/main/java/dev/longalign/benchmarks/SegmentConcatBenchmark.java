package dev.longalign.benchmarks;

import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.Arrays;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
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

/** Segment-embedding concatenation of captions of 1 to 9 sentences, CLIP's sizes. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class SegmentConcatBenchmark {
  private static final int LENGTH = 77;
  private static final int WIDTH = 768;
  private static final int EOS = 49407;
  private static final int TOKEN_LENGTH = 240;

  @Param("64")
  public int captions;

  private int[] segmentsPerCaption;
  private int[][] ids;
  private Tensor hidden;
  private Tensor padEmbedding;

  @Setup
  public void inputs(Lab lab) {
    segmentsPerCaption = segmentsPerCaption(captions);
    int[] tokens = tokens(captions);
    int segments = tokens.length;
    ids = new int[segments][LENGTH];
    for (int segment = 0; segment < segments; segment++) {
      for (int t = 0; t < LENGTH; t++) {
        ids[segment][t] = t < tokens[segment] ? 320 + t : EOS;
      }
    }
    try (TensorScope scope = TensorScope.open()) {
      hidden = lab.shared().adopt(lab.normal(1, segments, LENGTH, WIDTH));
      padEmbedding = lab.shared().adopt(lab.normal(1, WIDTH));
    }
  }

  @Benchmark
  public Tensor concat(Lab lab) {
    try (TensorScope scope = TensorScope.open()) {
      return Lab.await(enqueue());
    }
  }

  Tensor enqueue() {
    return hidden.segmentConcat(ids, segmentsPerCaption, EOS, EOS, padEmbedding, TOKEN_LENGTH);
  }

  private static int[] segmentsPerCaption(int captions) {
    return IntStream.range(0, captions).map(i -> 1 + i % 9).toArray();
  }

  /** That stay, of each segment. */
  private static int[] tokens(int captions) {
    Random random = new Random(2);
    int segments = Arrays.stream(segmentsPerCaption(captions)).sum();
    return IntStream.range(0, segments).map(i -> 8 + random.nextInt(30)).toArray();
  }

  /** Elements read and written: padding is read from the cache. */
  static double elements(int captions) {
    int[] tokens = tokens(captions);
    long rows = (long) captions * TOKEN_LENGTH;
    int segment = 0;
    for (int count : segmentsPerCaption(captions)) {
      rows += Math.min(TOKEN_LENGTH, Arrays.stream(tokens, segment, segment + count).sum());
      segment += count;
    }
    return (double) rows * WIDTH;
  }
}
