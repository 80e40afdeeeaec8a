package dev.longalign.tensor.cpu;

import dev.longalign.tensor.Activation;
import dev.longalign.tensor.DType;
import java.util.Map;

/**
 * How fast bare oneDNN is on given products and convolutions: the best of a few runs of each, with
 * no epilogue, in the layouts that oneDNN likes best.
 */
final class CpuRoof {
  private static final int RUNS = 4;

  private final CpuMemory memory;

  CpuRoof(CpuMemory memory) {
    this.memory = memory;
  }

  /** GFLOP/s over all shapes, each as often as given; NaN if there are none. */
  double gflops(Map<WorkLog.Work, Long> shapes) {
    double flops = 0;
    double seconds = 0;
    for (Map.Entry<WorkLog.Work, Long> entry : shapes.entrySet()) {
      flops += entry.getKey().flops() * entry.getValue();
      seconds += seconds(entry.getKey()) * entry.getValue();
    }
    return flops / seconds * 1e-9;
  }

  private double seconds(WorkLog.Work work) {
    if (work instanceof WorkLog.Convolution c) {
      try (Primitive bare =
          ConvolutionOps.primitive(
              c.in(), c.out(), c.geometry(), c.dtype(), null, Activation.NONE, false, false)) {
        return best(bare, c.in().size(), c.out().size(), c.dtype());
      }
    }
    WorkLog.Product p = (WorkLog.Product) work;
    try (Primitive bare =
        MatrixOps.linearPrimitive(
            p.m(), p.k(), p.n(), p.dtype(), null, false, Activation.NONE, false, false, false)) {
      return best(bare, p.m() * p.k(), p.m() * p.n(), p.dtype());
    }
  }

  private double best(Primitive bare, long sourceSize, long targetSize, DType dtype) {
    long sourceBytes = sourceSize * dtype.bytes();
    long source = memory.allocate(sourceBytes);
    long weights = memory.allocate(bare.weights().bytes());
    long target = memory.allocate(targetSize * dtype.bytes());
    try {
      HostMemory.zero(source, sourceBytes);
      HostMemory.zero(weights, bare.weights().bytes());
      double best = Double.POSITIVE_INFINITY;
      for (int run = 0; run < RUNS; run++) {
        long begin = System.nanoTime();
        bare.execute(memory, source, weights, target);
        best = Math.min(best, (System.nanoTime() - begin) * 1e-9);
      }
      return best;
    } finally {
      memory.free(source);
      memory.free(weights);
      memory.free(target);
    }
  }
}
