package dev.longalign.benchmarks;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;

/** The emulated CUDA driver that longalign-cuda's tests build, and that the build loads here. */
final class Emulator {
  private Emulator() {}

  /** Skips the test, visibly, where there is none. */
  static void require() {
    Path emulator = Path.of(System.getProperty("longalign.test.emulator", "/none"));
    Assumptions.assumeTrue(
        Files.exists(emulator.resolve("libcuda.so.1")),
        "no CUDA emulator: g++ was not there, or longalign-cuda was built without tests");
    System.setProperty(
        "longalign.cuda.kernels", emulator.resolve("longalign-kernels.so").toString());
  }
}
