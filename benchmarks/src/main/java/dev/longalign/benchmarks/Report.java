package dev.longalign.benchmarks;

import com.google.gson.GsonBuilder;
import com.google.gson.JsonPrimitive;
import com.google.gson.JsonSerializer;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Device;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.results.BenchmarkResult;
import org.openjdk.jmh.results.IterationResult;
import org.openjdk.jmh.results.Result;
import org.openjdk.jmh.results.RunResult;

/**
 * One run of the benchmarks, as it is written to {@code results/}.
 *
 * @param started in UTC
 * @param roofs by device and type, as in {@code cuda BF16}
 */
record Report(
    Instant started, Machine machine, Map<String, Roof> roofs, List<Measurement> measurements) {

  /**
   * @param milliseconds per invocation, mean over the iterations
   * @param error half of the 99.9 % confidence interval, null for a single iteration
   * @param iterations the mean of every iteration
   * @param rate null where {@link Work} knows none
   * @param roofRatio the rate as a part of what {@link Roof} found; null without a rate
   * @param gc what the garbage collection profiler says
   */
  record Measurement(
      String benchmark,
      Map<String, String> parameters,
      double milliseconds,
      Double error,
      List<Double> iterations,
      Double rate,
      String rateUnit,
      Double roofRatio,
      Map<String, Double> gc) {}

  /**
   * @param effort for measuring the roofs
   */
  static Report of(Instant started, Collection<RunResult> results, Roof.Effort effort) {
    List<Measurement> measurements = new ArrayList<>();
    TreeSet<String> devices = new TreeSet<>();
    Map<String, Roof> roofs = new TreeMap<>();
    for (RunResult result : results) {
      String device = result.getParams().getParam("device");
      DType dtype = DType.valueOf(result.getParams().getParam("dtype"));
      Roof roof =
          roofs.computeIfAbsent(
              device + " " + dtype, key -> Roof.of(Device.parse(device), dtype, effort));
      measurements.add(measurement(result, roof));
      devices.add(device);
    }
    return new Report(started, Machine.here(devices), roofs, measurements);
  }

  private static Measurement measurement(RunResult result, Roof roof) {
    BenchmarkParams params = result.getParams();
    double perUnit = params.getTimeUnit().toNanos(1) / (double) TimeUnit.MILLISECONDS.toNanos(1);
    Result<?> primary = result.getPrimaryResult();
    double milliseconds = primary.getScore() * perUnit;
    Work work = Work.of(params.getBenchmark(), params::getParam);
    Double rate = work == null ? null : work.rate(milliseconds / 1e3);
    Map<String, String> parameters = new TreeMap<>();
    params.getParamsKeys().forEach(key -> parameters.put(key, params.getParam(key)));
    Map<String, Double> gc = new TreeMap<>();
    result
        .getSecondaryResults()
        .forEach(
            (name, value) -> {
              if (Double.isFinite(value.getScore())) {
                gc.put(name + " " + value.getScoreUnit(), value.getScore());
              }
            });
    return new Measurement(
        params.getBenchmark(),
        parameters,
        milliseconds,
        finite(primary.getScoreError() * perUnit),
        iterations(result, perUnit),
        rate,
        work == null ? null : work.unit(),
        work == null ? null : rate / roof.rate(work.unit()),
        gc);
  }

  private static List<Double> iterations(RunResult result, double perUnit) {
    List<Double> means = new ArrayList<>();
    for (BenchmarkResult fork : result.getBenchmarkResults()) {
      for (IterationResult iteration : fork.getIterationResults()) {
        means.add(iteration.getPrimaryResult().getScore() * perUnit);
      }
    }
    return means;
  }

  private static Double finite(double value) {
    return Double.isFinite(value) ? value : null;
  }

  /** Writes {@code <folder>/<time>-<cpu>.json}, whole or not at all. */
  Path write(Path folder) throws IOException {
    Files.createDirectories(folder);
    String time =
        DateTimeFormatter.ofPattern("yyyyMMdd-HHmmss", Locale.ROOT)
            .withZone(ZoneOffset.UTC)
            .format(started);
    String cpu =
        machine
            .cpu()
            .toLowerCase(Locale.ROOT)
            .replaceAll("[^a-z0-9]+", "-")
            .replaceAll("^-|-$", "");
    Path file = folder.resolve(time + "-" + cpu + ".json");
    Path partial = folder.resolve(file.getFileName() + ".partial");
    String json =
        new GsonBuilder()
            .setPrettyPrinting()
            .disableHtmlEscaping()
            .registerTypeAdapter(
                Instant.class,
                (JsonSerializer<Instant>)
                    (instant, type, context) -> new JsonPrimitive(instant.toString()))
            .create()
            .toJson(this);
    Files.writeString(partial, json + "\n");
    return Files.move(partial, file, StandardCopyOption.ATOMIC_MOVE);
  }

  /** One line per measurement, for reading. */
  String table() {
    StringBuilder table = new StringBuilder();
    for (Measurement m : measurements) {
      String name = m.benchmark.replaceFirst(".*\\.(\\w+\\.\\w+)$", "$1");
      String rate =
          m.rate == null
              ? ""
              : String.format(
                  Locale.ROOT,
                  "%10.1f %s, %3.0f %% of the roof",
                  m.rate,
                  m.rateUnit,
                  100 * m.roofRatio);
      table.append(
          String.format(
              Locale.ROOT, "%-36s %-54s %10.3f ms%s%n", name, m.parameters, m.milliseconds, rate));
    }
    return table.toString();
  }
}
