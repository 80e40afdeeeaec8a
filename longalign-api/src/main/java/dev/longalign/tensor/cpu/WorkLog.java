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
  private long nestedNanos;

  /** What an operation had noted when it called another one. */
  record Outer(double flops, long nestedNanos) {}

  /** Starts an operation, which may be part of another one. */
  Outer begin() {
    Outer outer = new Outer(flops, nestedNanos);
    flops = 0;
    nestedNanos = 0;
    return outer;
  }

  /** Counts one operation with its own arithmetic and time, without that of those it called. */
  void end(Outer outer, String name, long nanos) {
    double seconds = (nanos - nestedNanos) * 1e-9;
    operations.merge(name, new OperationCost(1, seconds, flops), OperationCost::plus);
    flops = outer.flops;
    nestedNanos = outer.nestedNanos + nanos;
  }

  void ran(Work work) {
    shapes.merge(work, 1L, Long::sum);
    flops += work.flops();
  }

  /** Several products of one shape in one call. */
  void ran(long batch, Product each) {
    if (batch == 1) {
      ran(each);
    } else {
      computed(batch * each.flops());
    }
  }

  /** Arithmetic that has no bare counterpart: attention's products. */
  void computed(double count) {
    flops += count;
  }

  /**
   * How much of the arithmetic noted before is that of a forward pass, which a derivative does
   * again.
   */
  void repeated(double count) {
    operations.merge(OperationCost.REPEATED, new OperationCost(0, 0, count), OperationCost::plus);
  }

  Map<String, OperationCost> costs() {
    return new TreeMap<>(operations);
  }

  Map<Work, Long> shapes() {
    return shapes;
  }
}
