package dev.longalign.cli.bench;

import dev.longalign.tensor.Backend;
import dev.longalign.tensor.OperationCost;
import dev.longalign.tensor.TensorScope;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Times a piece of work on a backend: once to compile and pack, then as often as asked. */
final class Runs {
  private Runs() {}

  /**
   * @param step one run of the work; its tensors are freed after it
   * @param progress told after every run
   */
  static Measurement measure(
      String subject, Backend backend, int runs, Runnable step, Runnable progress) {
    once(step);
    progress.run();
    // Packing weights has left memory behind that a step does not need.
    backend.resetPeakMemory();
    once(step);
    progress.run();
    Map<String, OperationCost> before = backend.costs();
    List<Double> seconds = new ArrayList<>();
    for (int i = 0; i < runs; i++) {
      seconds.add(once(step));
      progress.run();
    }
    long peak = backend.memory().peak();
    Map<String, Measurement.Share> shares = new TreeMap<>();
    double flops = 0;
    for (Map.Entry<String, OperationCost> entry : backend.costs().entrySet()) {
      OperationCost cost = entry.getValue().since(before.get(entry.getKey()));
      if (cost.calls() > 0) {
        flops += cost.flops() / runs;
        shares.put(
            entry.getKey(),
            new Measurement.Share(
                cost.calls() / runs, cost.seconds() / runs, cost.flops() / cost.seconds() * 1e-9));
      }
    }
    double median = seconds.stream().sorted().skip(runs / 2).findFirst().orElseThrow();
    double gflops = flops / median * 1e-9;
    double roof = backend.roofGflops();
    return new Measurement(
        subject,
        backend.name(),
        median,
        seconds,
        flops * 1e-12,
        gflops,
        roof,
        gflops / roof,
        peak,
        shares,
        null);
  }

  private static double once(Runnable step) {
    long begin = System.nanoTime();
    try (TensorScope scope = TensorScope.open()) {
      step.run();
    }
    return (System.nanoTime() - begin) * 1e-9;
  }
}
