package dev.longalign.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.withinPercentage;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.TimeValue;
import org.openjdk.jmh.runner.options.VerboseMode;

class ReportTest {
  @Test
  void reportNamesTheMachineAndTheRate(@TempDir Path folder) throws Exception {
    var options =
        new OptionsBuilder()
            .include("AttentionBenchmark")
            .param("layer", "mid_self_attn")
            .param("dtype", "F32")
            .forks(0)
            .warmupIterations(0)
            .measurementIterations(2)
            .measurementTime(TimeValue.milliseconds(20))
            .verbosity(VerboseMode.SILENT)
            .build();
    Report report =
        Report.of(
            Instant.parse("2026-01-02T03:04:05Z"), new Runner(options).run(), Roof.Effort.QUICK);
    Path file = report.write(folder);

    assertThat(file.getFileName().toString()).startsWith("20260102-030405-").endsWith(".json");
    assertThat(Files.list(folder)).as("nothing half-written stays").containsExactly(file);
    JsonObject json = JsonParser.parseString(Files.readString(file)).getAsJsonObject();
    JsonObject machine = json.getAsJsonObject("machine");
    assertThat(machine.getAsJsonObject("backends").get("cpu").getAsString()).contains("oneDNN");
    assertThat(machine.get("cores").getAsInt()).isPositive();
    assertThat(machine.get("jdk").getAsString()).contains(Runtime.version().toString());
    JsonObject measurement = json.getAsJsonArray("measurements").get(0).getAsJsonObject();
    double seconds = measurement.get("milliseconds").getAsDouble() / 1e3;
    double flops = 4.0 * 2 * 64 * 64 * 8 * 160;
    assertThat(measurement.get("rate").getAsDouble() * 1e9 * seconds)
        .isBetween(0.999 * flops, 1.001 * flops);
    assertThat(measurement.get("rateUnit").getAsString()).isEqualTo("GFLOP/s");
    double roof =
        json.getAsJsonObject("roofs").getAsJsonObject("cpu F32").get("gflops").getAsDouble();
    assertThat(measurement.get("roofRatio").getAsDouble() * roof)
        .isCloseTo(measurement.get("rate").getAsDouble(), withinPercentage(0.1));
    assertThat(measurement.getAsJsonArray("iterations")).hasSize(2);
    assertThat(report.table()).contains("AttentionBenchmark.attention", "mid_self_attn", "GFLOP/s");
  }

  @Test
  void workOfKnownLayers() {
    Work conv =
        Work.of("x.ResnetBenchmark.conv3x3", Map.of("layer", "down0_conv2", "dtype", "F32")::get);
    assertThat(conv).isEqualTo(new Work(2.0 * 2 * 64 * 64 * 320 * 320 * 9, "GFLOP/s"));
    assertThat(conv.rate(0.5)).isEqualTo(conv.amount() / 0.5 / 1e9);
    Work norm =
        Work.of(
            "x.ResnetBenchmark.groupNormSilu", Map.of("layer", "mid_conv2", "dtype", "BF16")::get);
    assertThat(norm).isEqualTo(new Work(3.0 * 2 * 8 * 8 * 1280 * 2, "GB/s"));
    assertThat(Work.of("x.Other.benchmark", name -> null)).isNull();
  }

  @Test
  void everyBenchmarkOfALayerHasARate() throws Exception {
    for (Class<?> type :
        List.of(
            AttentionBenchmark.class,
            ResnetBenchmark.class,
            SegmentConcatBenchmark.class,
            PreferenceBenchmark.class)) {
      for (var method : type.getDeclaredMethods()) {
        if (method.isAnnotationPresent(org.openjdk.jmh.annotations.Benchmark.class)) {
          String layer = type == AttentionBenchmark.class ? "mid_self_attn" : "mid_conv2";
          assertThat(
                  Work.of(
                      type.getName() + "." + method.getName(),
                      Map.of("layer", layer, "dtype", "F32", "captions", "64", "pairs", "10")::get))
              .as(type.getSimpleName() + "." + method.getName())
              .isNotNull();
        }
      }
    }
  }
}
