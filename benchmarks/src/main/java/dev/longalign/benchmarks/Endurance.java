package dev.longalign.benchmarks;

import static jcuda.driver.JCudaDriver.cuCtxSetCurrent;
import static jcuda.driver.JCudaDriver.cuDeviceGet;
import static jcuda.driver.JCudaDriver.cuDevicePrimaryCtxRelease;
import static jcuda.driver.JCudaDriver.cuDevicePrimaryCtxRetain;
import static jcuda.driver.JCudaDriver.cuInit;
import static jcuda.driver.JCudaDriver.cuMemGetInfo;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Device;
import dev.longalign.tensor.TensorScope;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUresult;

/**
 * Whether many samples, one after the other, leave the device's memory as it was: bytes that the
 * driver says are in use.
 *
 * @param before what is measured; a sample before that has made the driver take what it keeps
 * @param early after a few samples
 * @param late after all of them
 * @param closed after the backend was closed
 */
record Endurance(int samples, double seconds, long before, long early, long late, long closed) {
  private static final int FEW = 10;
  private static final int STEPS = 2;

  /** Of the first GPU. */
  static Endurance measure(DType dtype, int samples) {
    CUdevice device = new CUdevice();
    CUcontext context = new CUcontext();
    check(cuInit(0));
    check(cuDeviceGet(device, 0));
    check(cuDevicePrimaryCtxRetain(context, device)); // so that memory can be asked for after close
    try {
      long[] unused = new long[1];
      run(context, dtype, 1, unused);
      long before = used(context);
      long[] early = new long[1];
      long begin = System.nanoTime();
      long late = run(context, dtype, samples, early);
      double seconds = (System.nanoTime() - begin) * 1e-9;
      return new Endurance(samples, seconds, before, early[0], late, used(context));
    } finally {
      cuDevicePrimaryCtxRelease(device);
    }
  }

  /** What is in use after the last sample; what was after a few goes to {@code early}. */
  private static long run(CUcontext context, DType dtype, int samples, long[] early) {
    try (Backend backend = Device.cuda(0).open(0);
        SampleLoop loop = new SampleLoop(UNetBenchmark.Model.tiny, backend, dtype, STEPS)) {
      for (int i = 1; i <= samples; i++) {
        try (TensorScope scope = TensorScope.open()) {
          loop.run();
          backend.synchronize();
        }
        if (i == Math.min(FEW, samples)) {
          early[0] = used(context);
        }
      }
      return used(context);
    }
  }

  private static long used(CUcontext context) {
    long[] free = new long[1];
    long[] total = new long[1];
    check(cuCtxSetCurrent(context));
    check(cuMemGetInfo(free, total));
    return total[0] - free[0];
  }

  private static void check(int result) {
    if (result != CUresult.CUDA_SUCCESS) {
      throw new LongAlignException("the driver: " + CUresult.stringFor(result));
    }
  }

  boolean grew() {
    return late > early || closed > before;
  }
}
