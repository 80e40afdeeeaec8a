package dev.longalign.benchmarks;

import com.google.gson.GsonBuilder;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.longalign.LongAlignException;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Device;
import dev.longalign.tensor.OperationCost;
import dev.longalign.tensor.TensorScope;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;

/**
 * The parts of {@code gpu.sh} that are no JMH benchmarks:
 *
 * <pre>{@code
 * probe                                    exit status 1, and why, if there is no GPU
 * operations DEVICE DTYPE FILE             the benchmarks' operations by the device's own clock
 * breakdown DEVICE DTYPE MODEL STEPS FILE  one sample loop by operation, as JSON
 * endurance DTYPE SAMPLES FILE             many samples and the device's memory; status 1 if it grew
 * table FOLDER                             all results in a folder as one table
 * }</pre>
 */
public final class GpuRun {
  private static final int LOOPS = 3;
  private static final String GRAPHS = "longalign.cuda.graphs";

  /**
   * @param milliseconds of each loop after the first
   * @param oneByOne the same, with every operation launched by itself
   * @param operations a loop's, by name, on average: one by one, and as the replays of graphs that
   *     they are in the measured loops
   */
  record Breakdown(
      String backend,
      DType dtype,
      UNetBenchmark.Model model,
      int steps,
      List<Double> milliseconds,
      List<Double> oneByOne,
      Map<String, Operation> operations) {}

  /**
   * @param gflops 0 for operations without matrix products
   */
  record Operation(double calls, double milliseconds, double gflops) {}

  private GpuRun() {}

  public static void main(String[] arguments) throws IOException {
    switch (arguments[0]) {
      case "probe" -> probe();
      case "operations" ->
          write(
              Path.of(arguments[3]),
              DeviceTimes.measure(arguments[1], DType.valueOf(arguments[2])));
      case "breakdown" ->
          write(
              Path.of(arguments[5]),
              breakdown(
                  Device.parse(arguments[1]),
                  DType.valueOf(arguments[2]),
                  UNetBenchmark.Model.valueOf(arguments[3]),
                  Integer.parseInt(arguments[4])));
      case "endurance" ->
          endurance(
              DType.valueOf(arguments[1]), Integer.parseInt(arguments[2]), Path.of(arguments[3]));
      case "table" -> System.out.print(table(Path.of(arguments[1])));
      default ->
          throw new IllegalArgumentException(
              "expected probe, operations, breakdown, endurance or table, found " + arguments[0]);
    }
  }

  private static void probe() {
    PrintStream out = System.out;
    try (Backend backend = Device.cuda(0).open(0)) {
      out.println(backend.name());
    } catch (LongAlignException e) {
      out.println(e.getMessage());
      System.exit(1);
    }
  }

  private static void endurance(DType dtype, int samples, Path file) throws IOException {
    Endurance endurance = Endurance.measure(dtype, samples);
    write(file, endurance);
    if (endurance.grew()) {
      System.out.println("the device's memory grew: " + endurance);
      System.exit(1);
    }
  }

  static Breakdown breakdown(Device device, DType dtype, UNetBenchmark.Model model, int steps) {
    List<Double> milliseconds = new ArrayList<>();
    List<Double> oneByOne = new ArrayList<>();
    Map<String, Operation> operations = new TreeMap<>();
    String name = loops(device, dtype, model, steps, milliseconds, operations);
    String asked = System.getProperty(GRAPHS);
    System.setProperty(GRAPHS, "false"); // one launch a step tells nothing of what it consists of
    try {
      loops(device, dtype, model, steps, oneByOne, operations);
    } finally {
      if (asked == null) {
        System.clearProperty(GRAPHS);
      } else {
        System.setProperty(GRAPHS, asked);
      }
    }
    return new Breakdown(name, dtype, model, steps, milliseconds, oneByOne, operations);
  }

  /** Some loops after one that is not measured; returns the backend's name. */
  private static String loops(
      Device device,
      DType dtype,
      UNetBenchmark.Model model,
      int steps,
      List<Double> milliseconds,
      Map<String, Operation> operations) {
    try (Backend backend = device.open(0);
        SampleLoop loop = new SampleLoop(model, backend, dtype, steps)) {
      once(backend, loop);
      Map<String, OperationCost> before = backend.costs();
      for (int i = 0; i < LOOPS; i++) {
        milliseconds.add(once(backend, loop));
      }
      backend
          .costs()
          .forEach(
              (name, total) -> {
                OperationCost cost = total.since(before.get(name));
                if (cost.calls() > 0) {
                  operations.put(
                      name,
                      new Operation(
                          (double) cost.calls() / LOOPS,
                          1e3 * cost.seconds() / LOOPS,
                          cost.seconds() == 0 ? 0 : cost.flops() / cost.seconds() * 1e-9));
                }
              });
      return backend.name();
    }
  }

  private static double once(Backend backend, SampleLoop loop) {
    long begin = System.nanoTime();
    try (TensorScope scope = TensorScope.open()) {
      loop.run();
      backend.synchronize();
    }
    return (System.nanoTime() - begin) * 1e-6;
  }

  private static void write(Path file, Object value) throws IOException {
    Files.writeString(file, new GsonBuilder().setPrettyPrinting().create().toJson(value) + "\n");
  }

  /**
   * Everything in {@code breakdown.json}, {@code peer.json} and the benchmarks' reports: one line a
   * measurement, and what the peer took for the same.
   */
  static String table(Path folder) throws IOException {
    StringBuilder table = new StringBuilder();
    JsonObject peer = read(folder.resolve("peer.json"));
    JsonObject peers = peer == null ? new JsonObject() : peer.getAsJsonObject("milliseconds");
    line(table, "what", "ms", "rate", "of roof", "peer ms", "peer / this");
    for (Path file : reports(folder)) {
      for (JsonElement element : read(file).getAsJsonArray("measurements")) {
        measurement(table, element.getAsJsonObject(), peers);
      }
    }
    JsonObject operations = read(folder.resolve("operations.json"));
    if (operations != null) {
      operations(table, operations, peers);
    }
    JsonObject breakdown = read(folder.resolve("breakdown.json"));
    if (breakdown != null) {
      breakdown(table, breakdown);
    }
    JsonObject endurance = read(folder.resolve("endurance.json"));
    if (endurance != null) {
      table.append(
          String.format(
              Locale.ROOT,
              "%s samples of the tiny model: device memory in use %s bytes after the first ones, %s"
                  + " after the last; %s before, %s after close%n",
              endurance.get("samples"),
              endurance.get("early"),
              endurance.get("late"),
              endurance.get("before"),
              endurance.get("closed")));
    }
    if (peer != null) {
      table.append("peer: ").append(peer.get("name").getAsString()).append('\n');
    }
    return table.toString();
  }

  private static void measurement(StringBuilder table, JsonObject m, JsonObject peers) {
    JsonObject parameters = m.getAsJsonObject("parameters");
    StringBuilder name =
        new StringBuilder(
            m.get("benchmark").getAsString().replaceFirst(".*\\.(\\w+\\.\\w+)$", "$1"));
    for (String key : new String[] {"layer", "model", "captions", "pairs"}) {
      if (parameters.has(key)) {
        name.append(' ').append(parameters.get(key).getAsString());
      }
    }
    double milliseconds = m.get("milliseconds").getAsDouble();
    JsonElement other = peers.get(name.toString());
    line(
        table,
        name
            + " "
            + parameters.get("device").getAsString()
            + " "
            + parameters.get("dtype").getAsString(),
        number("%.3f", milliseconds),
        m.has("rate")
            ? number("%.0f ", m.get("rate").getAsDouble()) + m.get("rateUnit").getAsString()
            : "",
        m.has("roofRatio") ? number("%.0f %%", 100 * m.get("roofRatio").getAsDouble()) : "",
        other == null ? "" : number("%.3f", other.getAsDouble()),
        other == null ? "" : number("%.2f", other.getAsDouble() / milliseconds));
  }

  private static void operations(StringBuilder table, JsonObject operations, JsonObject peers) {
    table
        .append("by the device's clock (attention of roof: heads filled up to 16s), in ")
        .append(operations.get("dtype").getAsString());
    for (String unit : new String[] {"GFLOP/s", "GB/s"}) {
      double roof = operations.getAsJsonObject("roofs").get(unit).getAsDouble();
      table.append(number(", roof %.0f ", roof)).append(unit);
    }
    table.append('\n');
    for (JsonElement element : operations.getAsJsonArray("times")) {
      JsonObject time = element.getAsJsonObject();
      double milliseconds = time.get("milliseconds").getAsDouble();
      JsonElement other = peers.get(time.get("name").getAsString());
      line(
          table,
          "  " + time.get("name").getAsString(),
          number("%.4f", milliseconds),
          number("%.0f ", time.get("rate").getAsDouble()) + time.get("unit").getAsString(),
          number("%.0f %%", 100 * time.get("roofRatio").getAsDouble()),
          other == null ? "" : number("%.3f", other.getAsDouble()),
          other == null ? "" : number("%.2f", other.getAsDouble() / milliseconds));
    }
  }

  private static void breakdown(StringBuilder table, JsonObject breakdown) {
    String loop =
        String.format(
            Locale.ROOT,
            "loop of %s steps, %s %s",
            breakdown.get("steps"),
            breakdown.get("model").getAsString(),
            breakdown.get("dtype").getAsString());
    double fastest = Double.POSITIVE_INFINITY;
    for (JsonElement milliseconds : breakdown.getAsJsonArray("milliseconds")) {
      fastest = Math.min(fastest, milliseconds.getAsDouble());
    }
    line(table, loop, number("%.1f", fastest), "", "", "", "");
    breakdown.getAsJsonObject("operations").entrySet().stream()
        .sorted(Comparator.comparingDouble(GpuRun::milliseconds).reversed())
        .forEach(
            entry -> {
              JsonObject cost = entry.getValue().getAsJsonObject();
              double gflops = cost.get("gflops").getAsDouble();
              line(
                  table,
                  String.format(
                      Locale.ROOT,
                      "  %s, %.0f times",
                      entry.getKey(),
                      cost.get("calls").getAsDouble()),
                  number("%.2f", milliseconds(entry)),
                  gflops > 0 ? number("%.0f GFLOP/s", gflops) : "",
                  "",
                  "",
                  "");
            });
  }

  private static double milliseconds(Map.Entry<String, JsonElement> operation) {
    return operation.getValue().getAsJsonObject().get("milliseconds").getAsDouble();
  }

  private static String number(String format, double value) {
    return String.format(Locale.ROOT, format, value);
  }

  private static void line(StringBuilder table, String what, String... columns) {
    table.append(String.format(Locale.ROOT, "%-64s", what));
    for (String column : columns) {
      table.append(String.format(Locale.ROOT, " %14s", column));
    }
    table.append('\n');
  }

  /** What {@link Report} has written, oldest first. */
  private static List<Path> reports(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files
          .filter(f -> f.getFileName().toString().matches("\\d{8}-.*\\.json"))
          .sorted()
          .toList();
    }
  }

  private static JsonObject read(Path file) throws IOException {
    return Files.exists(file)
        ? JsonParser.parseString(Files.readString(file)).getAsJsonObject()
        : null;
  }
}
