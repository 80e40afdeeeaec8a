package dev.longalign.tensor.cuda;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;

/**
 * The CUDA driver on the CPU, which the build put in front of every other. With {@code
 * -Dlongalign.test.gpu=true} the tests run on a real GPU instead, with the kernels that the library
 * itself would take.
 */
public final class Emulator {
  public static final String MISSING =
      "no CUDA emulator: g++ was not there when the tests were built";
  public static final String IS_BUILT = "dev.longalign.tensor.cuda.Emulator#isBuilt";

  private static final boolean REAL = Boolean.getBoolean("longalign.test.gpu");

  private Emulator() {}

  /** For {@code @EnabledIf}: classes without it are reported as skipped. */
  public static boolean isBuilt() {
    return REAL || Files.exists(folder().resolve("libcuda.so.1"));
  }

  /** Skips the test, visibly, where the emulator could not be built. */
  public static void require() {
    Assumptions.assumeTrue(isBuilt(), MISSING);
    if (REAL) {
      return;
    }
    System.setProperty("longalign.cuda.kernels", kernels().toString());
    System.setProperty("longalign.cuda.cache", "false"); // so that misuse of freed memory shows
  }

  /** The index of a Hopper device; skips the test on a machine with a GPU that is none. */
  static int hopper() {
    require();
    int index = REAL ? 0 : 1;
    CudaDevice device = new CudaDevice(index);
    boolean hopper = device.isHopper();
    device.close();
    Assumptions.assumeTrue(hopper, device.name() + " is no Hopper");
    return index;
  }

  static Path folder() {
    return Path.of(System.getProperty("longalign.test.emulator"));
  }

  static Path kernels() {
    return folder().resolve("longalign-kernels.so");
  }
}
