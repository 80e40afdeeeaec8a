package dev.longalign.tensor.cuda;

import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.LinearWeight;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Map;
import java.util.Random;
import jcuda.driver.CUevent;

/** How fast the bare product kernel is on given products, on random operands: zeros run faster. */
final class CudaRoof {
  private static final int RUNS = 4;

  private final Backend backend;
  private final OperationLog log;

  CudaRoof(Backend backend, OperationLog log) {
    this.backend = backend;
    this.log = log;
  }

  /** GFLOP/s over all products, each as often as given; NaN if there are none. */
  double gflops(Map<OperationLog.Product, Long> products) {
    double flops = 0;
    double seconds = 0;
    for (Map.Entry<OperationLog.Product, Long> entry : Map.copyOf(products).entrySet()) {
      flops += entry.getKey().flops() * entry.getValue();
      seconds += seconds(entry.getKey()) * entry.getValue();
    }
    return flops / seconds * 1e-9;
  }

  private double seconds(OperationLog.Product p) {
    try (TensorScope scope = TensorScope.open()) {
      Tensor x = random(Shape.of(p.m(), p.k())).cast(p.dtype());
      LinearWeight w = backend.packLinear(random(Shape.of(p.n(), p.k())), null, p.dtype());
      x.linear(w); // loads the kernel
      double best = Double.POSITIVE_INFINITY;
      for (int run = 0; run < RUNS; run++) {
        CUevent begin = log.record();
        x.linear(w);
        CUevent end = log.record();
        backend.synchronize();
        best = Math.min(best, log.seconds(begin, end));
      }
      return best;
    }
  }

  private Tensor random(Shape shape) {
    Random random = new Random(1);
    ByteBuffer bytes =
        ByteBuffer.allocateDirect(Math.toIntExact(4 * shape.size())).order(ByteOrder.nativeOrder());
    while (bytes.hasRemaining()) {
      bytes.putFloat(random.nextFloat() - 0.5f);
    }
    return backend.upload(bytes.flip(), DType.F32, shape);
  }
}
