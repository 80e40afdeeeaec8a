package dev.longalign.benchmarks;

import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Device;
import dev.longalign.tensor.LinearWeight;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.Random;

/**
 * What a device can do in a type, measured where the benchmarks run: their rates are parts of it.
 *
 * @param gflops of one large square matrix product, GFLOP/s: the backend's own kernel or, where it
 *     is there, cuBLAS, whichever is faster
 * @param gigabytes read and written per second by a large copy on the device
 */
record Roof(double gflops, double gigabytes) {
  private static final int RUNS = 5;
  private static final String CUBLAS = "longalign.cuda.cublas";

  /**
   * How large.
   *
   * @param seconds the product grows until it takes so long, or reaches {@code side}
   * @param side of the matrices, at most
   * @param copyBytes what is copied
   */
  record Effort(double seconds, int side, long copyBytes) {
    static final Effort FULL = new Effort(0.1, 8192, 512L << 20);

    /** For emulators: only shows that it works. */
    static final Effort QUICK = new Effort(1e-3, 64, 1 << 16);

    /** {@link #QUICK} if the system property {@code longalign.quick} says so. */
    static Effort asked() {
      return Boolean.getBoolean("longalign.quick") ? QUICK : FULL;
    }
  }

  static Roof of(Device device, DType dtype, Effort effort) {
    double gflops;
    double gigabytes;
    try (Backend backend = device.open(0)) {
      gflops = gflops(backend, dtype, effort);
      gigabytes = gigabytes(backend, dtype, effort);
    }
    String asked = System.getProperty(CUBLAS);
    System.setProperty(CUBLAS, "on"); // which the CPU does not look at
    try (Backend backend = device.open(0)) {
      gflops = Math.max(gflops, gflops(backend, dtype, effort));
    } finally {
      if (asked == null) {
        System.clearProperty(CUBLAS);
      } else {
        System.setProperty(CUBLAS, asked);
      }
    }
    return new Roof(gflops, gigabytes);
  }

  double rate(String unit) {
    return switch (unit) {
      case "GFLOP/s" -> gflops;
      case "GB/s" -> gigabytes;
      default -> throw new IllegalArgumentException("no roof in " + unit);
    };
  }

  private static double gflops(Backend backend, DType dtype, Effort effort) {
    double rate = 0;
    for (int side = Math.min(512, effort.side); side <= effort.side; side *= 2) {
      double flops = 2.0 * side * side * side;
      double seconds;
      try (TensorScope scope = TensorScope.open()) {
        Tensor x = noise(backend, side, side).cast(dtype);
        LinearWeight weight = backend.packLinear(noise(backend, side, side), null, dtype);
        seconds = fastest(backend, () -> x.linear(weight));
      }
      rate = Math.max(rate, flops / seconds * 1e-9);
      if (seconds > effort.seconds) {
        break;
      }
    }
    return rate;
  }

  private static double gigabytes(Backend backend, DType dtype, Effort effort) {
    try (TensorScope scope = TensorScope.open()) {
      long rows = Math.max(1, effort.copyBytes / dtype.bytes() / 1024);
      Tensor x = backend.zeros(dtype, Shape.of(rows, 1024));
      double seconds = fastest(backend, () -> Tensor.linearCombination(new float[] {1}, x));
      return 2.0 * x.shape().size() * dtype.bytes() / seconds * 1e-9;
    }
  }

  /** Zeros multiply faster. A few random rows, again and again. */
  private static Tensor noise(Backend backend, int rows, int columns) {
    Random random = new Random(1);
    float[] some = new float[columns * Math.min(rows, 64)];
    for (int i = 0; i < some.length; i++) {
      some[i] = random.nextFloat() - 0.5f;
    }
    ByteBuffer bytes =
        ByteBuffer.allocateDirect(Math.multiplyExact(4 * rows, columns))
            .order(ByteOrder.nativeOrder());
    FloatBuffer floats = bytes.asFloatBuffer();
    while (floats.hasRemaining()) {
      floats.put(some, 0, Math.min(some.length, floats.remaining()));
    }
    return backend.upload(bytes, DType.F32, Shape.of(rows, columns));
  }

  private static double fastest(Backend backend, Runnable work) {
    double best = Double.POSITIVE_INFINITY;
    for (int run = 0; run <= RUNS; run++) {
      try (TensorScope scope = TensorScope.open()) {
        backend.synchronize();
        long begin = System.nanoTime();
        work.run();
        backend.synchronize();
        double seconds = (System.nanoTime() - begin) * 1e-9;
        best = run == 0 ? best : Math.min(best, seconds);
      }
    }
    return best;
  }
}
