package dev.longalign.tensor.cuda;

import static dev.longalign.tensor.cuda.CudaDriver.check;
import static jcuda.driver.JCudaDriver.cuEventCreate;
import static jcuda.driver.JCudaDriver.cuEventDestroy;
import static jcuda.driver.JCudaDriver.cuEventElapsedTime;
import static jcuda.driver.JCudaDriver.cuEventRecord;

import dev.longalign.tensor.DType;
import dev.longalign.tensor.OperationCost;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Supplier;
import jcuda.driver.CUevent;

/**
 * What the operations cost on the device, measured with events on the stream; read when somebody
 * asks, or when a thousand are waiting to be read.
 */
final class OperationLog {
  private static final int MAX_PENDING = 1024;

  /** A matrix product [m, k] x [k, n], or a convolution seen as one. */
  record Product(long m, long k, long n, DType dtype) {
    double flops() {
      return 2.0 * m * k * n;
    }
  }

  /** What a captured graph computes; its parts cannot be timed. */
  static final class Recorded {
    private final Map<Product, Long> products = new LinkedHashMap<>();
    private double flops;
  }

  private record Pending(String name, CUevent begin, CUevent end, double flops) {}

  private final CudaDevice device;
  private final Map<String, OperationCost> costs = new TreeMap<>();
  private final Map<Product, Long> products = new LinkedHashMap<>();
  private final List<Pending> pending = new ArrayList<>();
  private final Deque<CUevent> unused = new ArrayDeque<>();
  private Recorded recorded;
  private String running;
  private double flops;

  OperationLog(CudaDevice device) {
    this.device = device;
  }

  /** Runs and measures one operation; what it consists of is measured with it. */
  <T> T measure(String name, Supplier<T> operation) {
    if (running != null) {
      return operation.get();
    }
    running = name;
    flops = 0;
    CUevent begin = null;
    try {
      if (recorded != null) {
        return operation.get(); // nothing runs, and events have no time
      }
      begin = record();
      T result = operation.get();
      pending.add(new Pending(name, begin, record(), flops));
      begin = null;
      return result;
    } finally {
      running = null;
      if (begin != null) {
        unused.push(begin);
      }
      if (pending.size() >= MAX_PENDING) {
        read();
      }
    }
  }

  /** The operation that is being enqueued, for messages. */
  String running() {
    return running;
  }

  void ran(Product product) {
    flops += product.flops();
    if (recorded != null) {
      recorded.products.merge(product, 1L, Long::sum);
      recorded.flops += product.flops();
    } else {
      products.merge(product, 1L, Long::sum);
    }
  }

  /** Arithmetic that is not one matrix product: attention's. */
  void computed(double count) {
    flops += count;
    if (recorded != null) {
      recorded.flops += count;
    }
  }

  boolean isRecording() {
    return recorded != null;
  }

  /** What is enqueued from now on is recorded, not run. */
  void startRecording() {
    recorded = new Recorded();
  }

  Recorded stopRecording() {
    Recorded result = recorded;
    recorded = null;
    return result;
  }

  /** A recording runs, as part of the operation that is being enqueued. */
  void ran(Recorded recording) {
    flops += recording.flops;
    recording.products.forEach((product, count) -> products.merge(product, count, Long::sum));
  }

  Map<String, OperationCost> costs() {
    read();
    return new TreeMap<>(costs);
  }

  Map<Product, Long> products() {
    return products;
  }

  CUevent record() {
    CUevent event = unused.poll();
    if (event == null) {
      event = new CUevent();
      check(cuEventCreate(event, 0), "creating an event");
    }
    check(cuEventRecord(event, device.stream()), "recording an event");
    return event;
  }

  /** Seconds between two recorded events, which are used up. */
  double seconds(CUevent begin, CUevent end) {
    float[] milliseconds = new float[1];
    check(cuEventElapsedTime(milliseconds, begin, end), "reading an event");
    unused.push(begin);
    unused.push(end);
    return milliseconds[0] * 1e-3;
  }

  private void read() {
    device.synchronize();
    for (Pending p : pending) {
      OperationCost cost = new OperationCost(1, seconds(p.begin, p.end), p.flops);
      costs.merge(p.name, cost, OperationCost::plus);
    }
    pending.clear();
  }

  void close() {
    read();
    unused.forEach(event -> cuEventDestroy(event));
    unused.clear();
  }
}
