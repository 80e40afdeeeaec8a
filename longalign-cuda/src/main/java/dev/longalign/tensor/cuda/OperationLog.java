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

  private record Pending(String name, CUevent begin, CUevent end, double flops) {}

  private final CudaDevice device;
  private final Map<String, OperationCost> costs = new TreeMap<>();
  private final Map<Product, Long> products = new LinkedHashMap<>();
  private final List<Pending> pending = new ArrayList<>();
  private final Deque<CUevent> unused = new ArrayDeque<>();
  private double flops;

  OperationLog(CudaDevice device) {
    this.device = device;
  }

  CUevent begin() {
    flops = 0;
    return record();
  }

  void end(String name, CUevent begin) {
    pending.add(new Pending(name, begin, record(), flops));
    if (pending.size() >= MAX_PENDING) {
      read();
    }
  }

  void ran(Product product) {
    products.merge(product, 1L, Long::sum);
    flops += product.flops();
  }

  /** Arithmetic that is not one matrix product: attention's. */
  void computed(double count) {
    flops += count;
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
