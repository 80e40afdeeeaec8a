package dev.longalign.tensor.cuda;

import static dev.longalign.tensor.cuda.CudaDriver.check;
import static jcuda.driver.JCudaDriver.cuLaunchKernel;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import jcuda.Pointer;
import jcuda.driver.CUfunction;

/**
 * One launch of a kernel: its size, then the arguments in the kernel's order, then {@link #run}.
 */
final class Launch {
  /** Of a block, unless {@link #threads} says otherwise. */
  static final int THREADS = 256;

  private static final int MAX_GRID_YZ = 65535;

  private final CudaDevice device;
  private final String kernel;
  private final CUfunction function;
  private final List<Pointer> arguments = new ArrayList<>();
  private int gridX = 1;
  private int gridY = 1;
  private int gridZ = 1;
  private int threads = THREADS;
  private int shared;

  Launch(CudaDevice device, String kernel, CUfunction function) {
    this.device = device;
    this.kernel = kernel;
    this.function = function;
  }

  Launch grid(long x, long y, long z) {
    gridX = Math.toIntExact(x);
    gridY = Math.toIntExact(y);
    gridZ = Math.toIntExact(z);
    if (y > MAX_GRID_YZ || z > MAX_GRID_YZ) {
      throw new IllegalArgumentException(kernel + ": grid " + x + " x " + y + " x " + z);
    }
    return this;
  }

  /** As many blocks as {@code items} need at one each per thread, up to eight waves. */
  Launch over(long items) {
    long blocks = (items + threads - 1) / threads;
    return grid(Math.max(1, Math.min(blocks, 64L * device.multiprocessors())), 1, 1);
  }

  Launch threads(int count) {
    threads = count;
    return this;
  }

  /** Dynamic shared memory in bytes. */
  Launch shared(int bytes) {
    shared = bytes;
    return this;
  }

  Launch address(long address) {
    return i64(address);
  }

  Launch addresses(long... all) {
    for (long address : all) {
      address(address);
    }
    return this;
  }

  Launch i64(long value) {
    arguments.add(Pointer.to(new long[] {value}));
    return this;
  }

  Launch i32(int value) {
    arguments.add(Pointer.to(new int[] {value}));
    return this;
  }

  Launch flag(boolean value) {
    return i32(value ? 1 : 0);
  }

  Launch f32(float value) {
    arguments.add(Pointer.to(new float[] {value}));
    return this;
  }

  /** A structure passed by value. */
  Launch struct(ByteBuffer bytes) {
    arguments.add(Pointer.to(bytes));
    return this;
  }

  /** Enqueues the kernel. */
  void run() {
    check(
        cuLaunchKernel(
            function,
            gridX,
            gridY,
            gridZ,
            threads,
            1,
            1,
            shared,
            device.stream(),
            Pointer.to(arguments.toArray(new Pointer[0])),
            null),
        "kernel " + kernel);
  }
}
