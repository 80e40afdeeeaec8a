package dev.longalign.benchmarks;

import dev.longalign.tensor.DType;
import java.util.function.UnaryOperator;

/**
 * How much work one invocation of a benchmark is, from which its rate follows.
 *
 * @param amount floating point operations, or bytes moved where memory is the limit
 * @param unit of the rate: {@code GFLOP/s} or {@code GB/s}
 */
record Work(double amount, String unit) {

  /**
   * @param benchmark as JMH names it, class and method
   * @param parameter the value of a parameter by its name
   * @return null for a benchmark that is not measured by a rate
   */
  static Work of(String benchmark, UnaryOperator<String> parameter) {
    String name =
        benchmark.substring(benchmark.lastIndexOf('.', benchmark.lastIndexOf('.') - 1) + 1);
    return switch (name) {
      case "AttentionBenchmark.attention" ->
          operations(AttentionBenchmark.Layer.valueOf(parameter.apply("layer")).flops());
      case "ResnetBenchmark.conv3x3" ->
          operations(ResnetBenchmark.Layer.valueOf(parameter.apply("layer")).convolutionFlops());
      case "ResnetBenchmark.groupNormSilu" ->
          elements(
              ResnetBenchmark.Layer.valueOf(parameter.apply("layer")).normElements(), parameter);
      case "SegmentConcatBenchmark.concat" ->
          elements(
              SegmentConcatBenchmark.elements(Integer.parseInt(parameter.apply("captions"))),
              parameter);
      case "PreferenceBenchmark.reweight" ->
          elements(
              2 * PreferenceBenchmark.elements(Integer.parseInt(parameter.apply("pairs"))),
              parameter);
      case "PreferenceBenchmark.gradient" ->
          elements(
              3 * PreferenceBenchmark.elements(Integer.parseInt(parameter.apply("pairs"))),
              parameter);
      default -> null;
    };
  }

  private static Work operations(double flops) {
    return new Work(flops, "GFLOP/s");
  }

  private static Work elements(double count, UnaryOperator<String> parameter) {
    return new Work(count * DType.valueOf(parameter.apply("dtype")).bytes(), "GB/s");
  }

  /** Billions of the unit per second. */
  double rate(double seconds) {
    return amount / seconds / 1e9;
  }
}
