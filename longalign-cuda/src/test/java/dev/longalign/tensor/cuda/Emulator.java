package dev.longalign.tensor.cuda;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;

/** The CUDA driver on the CPU, which the build put in front of every other. */
final class Emulator {
  private Emulator() {}

  /** Skips the test, visibly, where the emulator could not be built. */
  static void require() {
    Assumptions.assumeTrue(
        Files.exists(folder().resolve("libcuda.so.1")),
        "no CUDA emulator: g++ was not there when the tests were built");
    System.setProperty("longalign.cuda.kernels", kernels().toString());
    System.setProperty("longalign.cuda.cache", "false"); // so that misuse of freed memory shows
  }

  static Path folder() {
    return Path.of(System.getProperty("longalign.test.emulator"));
  }

  static Path kernels() {
    return folder().resolve("longalign-kernels.so");
  }
}
