package dev.longalign.tensor.cuda;

import static jcuda.driver.JCudaDriver.cuDeviceGetCount;
import static jcuda.driver.JCudaDriver.cuDriverGetVersion;
import static jcuda.driver.JCudaDriver.cuGetErrorName;
import static jcuda.driver.JCudaDriver.cuGetErrorString;
import static jcuda.driver.JCudaDriver.cuInit;

import dev.longalign.LongAlignException;
import jcuda.driver.CUresult;

/** Whether the driver is there, and what its errors mean. */
final class CudaDriver {
  /** CUDA 12.0, the first whose drivers run what is built for 12.x. */
  private static final int OLDEST = 12000;

  private CudaDriver() {}

  /** Null if there is a driver, new enough, with a device; else what is missing and the remedy. */
  static String whyUnavailable() {
    try {
      JCudaNatives.load("jcuda.driver.JCudaDriver");
      int error = cuInit(0);
      if (error == CUresult.CUDA_ERROR_NO_DEVICE) {
        return "the NVIDIA driver sees no GPU; check nvidia-smi (in a container: run it with --gpus"
            + " all)";
      }
      if (error != CUresult.CUDA_SUCCESS) {
        return "the NVIDIA driver does not start: "
            + describe(error)
            + "; check nvidia-smi, a driver update needs the machine to restart";
      }
      int[] version = new int[1];
      cuDriverGetVersion(version);
      if (version[0] < OLDEST) {
        return "the NVIDIA driver is too old: it is for CUDA "
            + cudaVersion(version[0])
            + ", needed is CUDA "
            + cudaVersion(OLDEST)
            + " (driver 525.60 or later)";
      }
      int[] count = new int[1];
      cuDeviceGetCount(count);
      return count[0] > 0 ? null : "the NVIDIA driver has no GPU; check CUDA_VISIBLE_DEVICES";
    } catch (LinkageError e) {
      return whyNotLinked(e);
    } catch (LongAlignException e) {
      return e.getMessage(); // nothing can be unpacked
    }
  }

  /** Why JCuda's native library does not load. */
  static String whyNotLinked(LinkageError error) {
    String message = String.valueOf(error.getMessage());
    if (message.contains("libcuda.so") || message.contains("nvcuda")) {
      return "there is no NVIDIA driver here (libcuda.so.1 does not load); install it (in a"
          + " container: run it with --gpus all)";
    }
    return "JCuda's native library does not load; it is published for linux-x86_64 and"
        + " windows-x86_64, here is "
        + System.getProperty("os.name")
        + " "
        + System.getProperty("os.arch")
        + " ("
        + message.lines().findFirst().orElse("")
        + ")";
  }

  /** The CUDA that the driver is for: 12060 is 12.6. */
  static int version() {
    int[] version = new int[1];
    check(cuDriverGetVersion(version), "the driver's version");
    return version[0];
  }

  private static String cudaVersion(int version) {
    return version / 1000 + "." + version % 1000 / 10;
  }

  /** Throws unless the result is success. */
  static void check(int result, String what) {
    if (result != CUresult.CUDA_SUCCESS) {
      throw new LongAlignException(what + " failed: " + describe(result));
    }
  }

  private static String describe(int error) {
    String[] name = new String[1];
    String[] text = new String[1];
    cuGetErrorName(error, name);
    cuGetErrorString(error, text);
    return (name[0] == null ? "CUDA error " + error : name[0])
        + (text[0] == null ? "" : ", " + text[0]);
  }
}
