package dev.longalign.tensor.cuda;

import static dev.longalign.tensor.cuda.CudaDriver.check;
import static jcuda.driver.CUdevice_attribute.*;
import static jcuda.driver.JCudaDriver.*;

import dev.longalign.LongAlignException;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.function.Supplier;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUstream;

/** One GPU: its primary context, the stream that everything runs on, and its limits. */
final class CudaDevice implements AutoCloseable {
  private static final int OLDEST_CAPABILITY = 80;
  private static final int HOPPER = 90;

  private final CUdevice device = new CUdevice();
  private final CUcontext context = new CUcontext();
  private final Stream stream = new Stream();
  private final String name;
  private final int capability;
  private final int multiprocessors;
  private final int sharedMemory;
  private final boolean overlaps;
  private volatile boolean capturing;

  private static final class Stream extends CUstream {
    long address() {
      return getNativePointer();
    }
  }

  /**
   * @param index from 0
   */
  CudaDevice(int index) {
    String why = CudaDriver.whyUnavailable();
    if (why != null) {
      throw new LongAlignException("cuda:" + index + ": " + why);
    }
    int[] count = new int[1];
    check(cuDeviceGetCount(count), "counting devices");
    if (index < 0 || index >= count[0]) {
      throw new LongAlignException(
          "cuda:"
              + index
              + ": there is no such device; this machine shows "
              + (count[0] == 1 ? "one, cuda:0" : count[0] + ", cuda:0 to cuda:" + (count[0] - 1))
              + " (CUDA_VISIBLE_DEVICES may hide some)");
    }
    check(cuDeviceGet(device, index), "opening device " + index);
    byte[] text = new byte[256];
    check(cuDeviceGetName(text, text.length, device), "the device's name");
    this.name = new String(text, StandardCharsets.UTF_8).split("\0", 2)[0];
    this.capability =
        10 * attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)
            + attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    if (capability < OLDEST_CAPABILITY) {
      throw new LongAlignException(
          String.format(
              Locale.ROOT,
              "cuda:%d (%s) has compute capability %d.%d; needed is 8.0 (Ampere) or later",
              index,
              name,
              capability / 10,
              capability % 10));
    }
    this.multiprocessors = attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
    this.sharedMemory = attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
    this.overlaps =
        capability == HOPPER
            && !"false".equals(System.getProperty("longalign.cuda.overlap"))
            && JnaDriver.LAUNCH_KERNEL_EX != null;
    check(cuDevicePrimaryCtxRetain(context, device), "the context of " + name);
    makeCurrent();
    check(cuStreamCreate(stream, 1), "creating a stream"); // 1: does not wait for the null stream
  }

  private int attribute(int which) {
    int[] value = new int[1];
    check(cuDeviceGetAttribute(value, which, device), "attribute " + which + " of the device");
    return value[0];
  }

  /** Binds the device to the calling thread; every call of the driver needs that. */
  void makeCurrent() {
    check(cuCtxSetCurrent(context), "selecting " + name);
  }

  /** Waits until everything enqueued so far is done; reports what failed meanwhile. */
  void synchronize() {
    check(cuStreamSynchronize(stream), "work on " + name);
  }

  CUstream stream() {
    return stream;
  }

  /** The driver's pointer to it. */
  long streamAddress() {
    return stream.address();
  }

  /** While {@code work} is captured: a graph's kernels follow each other fast enough. */
  <T> T capturing(Supplier<T> work) {
    capturing = true;
    try {
      return work.get();
    } finally {
      capturing = false;
    }
  }

  /**
   * Whether a kernel may begin before those before it are done, and wait for them itself. In graphs
   * that gained nothing (on an H200 a step took 6.6 ms so, and 6.4 ms without), elsewhere a quarter
   * of the time. {@code -Dlongalign.cuda.overlap=false}: never.
   */
  boolean overlapsKernels() {
    return overlaps && !capturing;
  }

  String name() {
    return name;
  }

  /** For example 90 for compute capability 9.0. */
  int capability() {
    return capability;
  }

  /**
   * Whether the kernels for Hopper alone run here; {@code -Dlongalign.cuda.hopper=false} leaves
   * everything to those for all devices.
   */
  boolean isHopper() {
    return capability == HOPPER && !"false".equals(System.getProperty("longalign.cuda.hopper"));
  }

  int multiprocessors() {
    return multiprocessors;
  }

  /** The most that a block can have, in bytes. */
  int sharedMemory() {
    return sharedMemory;
  }

  @Override
  public void close() {
    makeCurrent();
    cuStreamDestroy(stream);
    cuCtxSetCurrent(new CUcontext());
    cuDevicePrimaryCtxRelease(device);
  }
}
