package dev.longalign.tensor.cpu;

import dev.longalign.tensor.Conv2dGeometry;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.OperationCost;
import dev.longalign.tensor.Shape;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;

/**
 * What the backend has done: time and arithmetic by operation, and which products and convolutions
 * it ran how often, so that {@link CpuRoof} can run them again with nothing around them.
 */
final class WorkLog {

  /** One shape of a product or convolution. */
  sealed interface Work {
    double flops();
  }

  /** [m, k] x [k, n]. */
  record Product(long m, long k, long n, DType dtype) implements Work {
    @Override
    public double flops() {
      return 2.0 * m * k * n;
    }
  }

  /** NHWC {@code in} to {@code out}. */
  record Convolution(Shape in, Shape out, Conv2dGeometry geometry, DType dtype) implements Work {
    @Override
    public double flops() {
      return 2.0
          * out.size()
          * geometry.inChannels()
          * geometry.kernelHeight()
          * geometry.kernelWidth();
    }
  }

  private final Map<String, OperationCost> operations = new TreeMap<>();
  private final Map<Work, Long> shapes = new LinkedHashMap<>();
  private double flops;

  /** Counts one operation, with the arithmetic noted since the last one. */
  void operation(String name, long nanos) {
    operations.merge(name, new OperationCost(1, nanos * 1e-9, flops), OperationCost::plus);
    flops = 0;
  }

  void ran(Work work) {
    shapes.merge(work, 1L, Long::sum);
    flops += work.flops();
  }

  /** Arithmetic that has no bare counterpart: attention's products. */
  void computed(double count) {
    flops += count;
  }

  Map<String, OperationCost> costs() {
    return new TreeMap<>(operations);
  }

  Map<Work, Long> shapes() {
    return shapes;
  }
}
