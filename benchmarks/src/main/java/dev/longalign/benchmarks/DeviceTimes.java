package dev.longalign.benchmarks;

import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Device;
import dev.longalign.tensor.OperationCost;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorFunction;
import dev.longalign.tensor.TensorScope;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * How long the benchmarks' operations take by the device's own clock, in a graph as those of a step
 * are: without the launch, the allocation and the wait that JMH sees too, which take longer than
 * short kernels do.
 *
 * @param roofs by unit
 */
record DeviceTimes(
    String backend, DType dtype, Map<String, Double> roofs, List<DeviceTimes.Time> times) {

  /**
   * @param name as the benchmark's in the table
   * @param roofRatio of attention, with heads filled up to a multiple of 16
   */
  record Time(String name, double milliseconds, double rate, String unit, double roofRatio) {}

  /** Of an operation, in one graph. */
  private static final int RUNS = 20;

  private static final long WARMUP_NANOS = 300_000_000;

  /** Of the product that keeps the device busy until everything measured is enqueued. */
  private static final int BUSY_SIDE = 8192;

  static DeviceTimes measure(String device, DType dtype) {
    Roof.Effort effort = Roof.Effort.asked();
    boolean quick = effort.equals(Roof.Effort.QUICK);
    Roof roof = Roof.of(Device.parse(device), dtype, effort);
    Lab lab = new Lab();
    lab.device = device;
    lab.dtype = dtype;
    lab.open();
    try {
      Run run = new Run(lab, roof, Math.min(BUSY_SIDE, effort.side()));
      for (AttentionBenchmark.Layer layer : AttentionBenchmark.Layer.values()) {
        if ((layer == AttentionBenchmark.Layer.tiny) != quick) {
          continue;
        }
        AttentionBenchmark attention = new AttentionBenchmark();
        attention.layer = layer;
        attention.inputs(lab);
        run.time(
            "AttentionBenchmark.attention",
            "layer",
            layer.name(),
            layer.padding(),
            attention::enqueue);
      }
      for (ResnetBenchmark.Layer layer : ResnetBenchmark.Layer.values()) {
        if ((layer == ResnetBenchmark.Layer.tiny) != quick) {
          continue;
        }
        ResnetBenchmark resnet = new ResnetBenchmark();
        resnet.layer = layer;
        resnet.inputs(lab);
        run.time("ResnetBenchmark.conv3x3", "layer", layer.name(), resnet::enqueueConvolution);
        run.time("ResnetBenchmark.groupNormSilu", "layer", layer.name(), resnet::enqueueNorm);
      }
      SegmentConcatBenchmark concat = new SegmentConcatBenchmark();
      concat.captions = quick ? 2 : 512;
      concat.inputs(lab);
      run.time(
          "SegmentConcatBenchmark.concat",
          "captions",
          Integer.toString(concat.captions),
          concat::enqueue);
      PreferenceBenchmark preference = new PreferenceBenchmark();
      preference.pairs = quick ? 8 : 50_000;
      preference.inputs(lab);
      String pairs = Integer.toString(preference.pairs);
      run.time("PreferenceBenchmark.reweight", "pairs", pairs, preference::enqueueReweight);
      run.time("PreferenceBenchmark.gradient", "pairs", pairs, preference::enqueueGradient);
      return new DeviceTimes(
          lab.backend().name(),
          dtype,
          Map.of("GFLOP/s", roof.gflops(), "GB/s", roof.gigabytes()),
          run.times);
    } finally {
      lab.closeUnchecked();
    }
  }

  private static final class Run {
    private final Backend backend;
    private final Roof roof;
    private final Tensor busy;
    private final double busySeconds;
    private final List<Time> times = new ArrayList<>();

    Run(Lab lab, Roof roof, int side) {
      this.backend = lab.backend();
      this.roof = roof;
      try (TensorScope scope = TensorScope.open()) {
        this.busy = lab.shared().adopt(backend.zeros(lab.dtype, Shape.of(side, side)));
        busy.matmul(busy, true); // loads the kernel
        backend.synchronize();
        long begin = System.nanoTime();
        busy.matmul(busy, true);
        backend.synchronize();
        this.busySeconds = (System.nanoTime() - begin) * 1e-9;
      }
    }

    void time(String benchmark, String parameter, String value, Runnable operation) {
      time(benchmark, parameter, value, 1, operation);
    }

    /**
     * @param padding how much more is computed than counts in the rate
     */
    void time(
        String benchmark, String parameter, String value, double padding, Runnable operation) {
      double seconds;
      try (TensorScope scope = TensorScope.open()) {
        Tensor nothing = backend.zeros(busy.dtype(), Shape.of(1));
        TensorFunction runs =
            backend.repeated(
                x -> {
                  repeat(operation);
                  return x[0];
                });
        long warm = System.nanoTime() + WARMUP_NANOS;
        double enqueuing;
        do {
          long begin = System.nanoTime();
          runs.apply(nothing);
          enqueuing = (System.nanoTime() - begin) * 1e-9;
          backend.synchronize();
        } while (System.nanoTime() < warm);
        Map<String, OperationCost> before = backend.costs();
        for (double busyFor = 0; busyFor < 2 * enqueuing; busyFor += busySeconds) {
          busy.matmul(busy, true);
        }
        runs.apply(nothing);
        seconds = secondsSince(before) / RUNS;
      }
      Work work = Work.of("." + benchmark, name -> name.equals(parameter) ? value : dtype());
      double rate = work.rate(seconds);
      times.add(
          new Time(
              benchmark + " " + value,
              seconds * 1e3,
              rate,
              work.unit(),
              padding * rate / roof.rate(work.unit())));
    }

    private String dtype() {
      return busy.dtype().name();
    }

    /** Of all but what kept the device busy. */
    private double secondsSince(Map<String, OperationCost> before) {
      return backend.costs().entrySet().stream()
          .filter(cost -> !cost.getKey().equals("matmul"))
          .mapToDouble(cost -> cost.getValue().since(before.get(cost.getKey())).seconds())
          .sum();
    }

    private static void repeat(Runnable operation) {
      for (int i = 0; i < RUNS; i++) {
        try (TensorScope scope = TensorScope.open()) {
          operation.run();
        }
      }
    }
  }
}
