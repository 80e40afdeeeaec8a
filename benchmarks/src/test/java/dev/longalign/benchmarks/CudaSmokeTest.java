package dev.longalign.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;

import dev.longalign.tensor.DType;
import dev.longalign.tensor.Device;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Collection;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.TimeValue;
import org.openjdk.jmh.runner.options.VerboseMode;

/** Every benchmark runs on the CUDA backend; on the emulator, with tiny shapes. */
class CudaSmokeTest {
  @BeforeAll
  static void onTheEmulator() {
    Emulator.require();
  }

  @Test
  void everyBenchmarkRunsOnCuda(@TempDir Path folder) throws Exception {
    var options =
        new OptionsBuilder()
            .include("\\.(Attention|Resnet|SegmentConcat|Preference|Sample|UNet)Benchmark\\.")
            .param("device", "cuda")
            .param("dtype", "BF16")
            .param("layer", "tiny")
            .param("model", "tiny")
            .param("captions", "2")
            .param("pairs", "8")
            .param("steps", "1")
            .forks(0)
            .warmupIterations(0)
            .measurementIterations(1)
            .measurementTime(TimeValue.milliseconds(1))
            .verbosity(VerboseMode.SILENT)
            .build();
    Collection<RunResult> results = new Runner(options).run();
    assertThat(results).hasSize(8);
    Report report = Report.of(Instant.parse("2026-01-02T03:04:05Z"), results, Roof.Effort.QUICK);
    assertThat(report.roofs()).containsOnlyKeys("cuda BF16");
    assertThat(report.measurements())
        .allSatisfy(m -> assertThat(m.milliseconds()).isPositive())
        .filteredOn(m -> m.rate() != null)
        .hasSize(6)
        .allSatisfy(m -> assertThat(m.roofRatio()).isPositive());
    report.write(folder);
    assertThat(GpuRun.table(folder)).contains("AttentionBenchmark.attention tiny cuda BF16");
  }

  @Test
  void theLoopsTimeIsThatOfItsOperations() {
    GpuRun.Breakdown breakdown =
        GpuRun.breakdown(Device.cuda(0), DType.BF16, UNetBenchmark.Model.tiny, 1);
    assertThat(breakdown.operations())
        .containsKeys("attention", "conv2d", "groupNorm", "linear", "replay");
    assertThat(breakdown.operations().get("replay").calls()).as("one a step").isEqualTo(1);
    double sum =
        breakdown.operations().entrySet().stream()
            .filter(operation -> !operation.getKey().equals("replay"))
            .mapToDouble(operation -> operation.getValue().milliseconds())
            .sum();
    double loop =
        breakdown.oneByOne().stream().mapToDouble(Double::doubleValue).average().orElseThrow();
    assertThat(sum).isBetween(0.2 * loop, 1.05 * loop);
  }

  @Test
  void samplesLeaveTheDevicesMemoryAsItWas() {
    Endurance endurance = Endurance.measure(DType.BF16, 3);
    assertThat(endurance.grew()).as("%s", endurance).isFalse();
    assertThat(endurance.early()).isGreaterThan(endurance.before());
    assertThat(new Endurance(3, 1, 100, 200, 201, 100).grew()).isTrue();
    assertThat(new Endurance(3, 1, 100, 200, 200, 101).grew()).isTrue();
  }
}
