package dev.longalign.benchmarks;

import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Device;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;

/**
 * Where numbers were measured; without it they mean nothing.
 *
 * @param cpu the processor's name
 * @param cores as many as the JVM may use
 * @param memoryGiB physical memory
 * @param os name, version and architecture
 * @param jdk vendor and version
 * @param commit of this project, {@code +} if files were changed
 * @param backends for every device measured, what ran there: library versions, threads, the GPU
 */
public record Machine(
    String cpu,
    int cores,
    double memoryGiB,
    String os,
    String jdk,
    String commit,
    Map<String, String> backends) {

  /** This machine, with the named devices. */
  public static Machine here(Iterable<String> devices) {
    Map<String, String> backends = new TreeMap<>();
    for (String device : devices) {
      try (Backend backend = Device.parse(device).open(0)) {
        backends.put(device, backend.name());
      }
    }
    return new Machine(
        firstValue(Path.of("/proc/cpuinfo"), "model name", System.getProperty("os.arch")),
        Runtime.getRuntime().availableProcessors(),
        Math.round(10 * memoryKiB() / 1048576) / 10.0,
        System.getProperty("os.name")
            + " "
            + System.getProperty("os.version")
            + " "
            + System.getProperty("os.arch"),
        System.getProperty("java.vendor") + " " + Runtime.version(),
        headCommit(),
        backends);
  }

  private static double memoryKiB() {
    return Double.parseDouble(
        firstValue(Path.of("/proc/meminfo"), "MemTotal", "0 kB").split(" ")[0]);
  }

  /** The value of the first line {@code key : value}, as in the files of Linux's /proc. */
  private static String firstValue(Path file, String key, String otherwise) {
    try {
      return Files.readAllLines(file).stream()
          .filter(line -> line.startsWith(key))
          .map(line -> line.substring(line.indexOf(':') + 1).strip())
          .findFirst()
          .orElse(otherwise);
    } catch (IOException e) {
      return otherwise;
    }
  }

  private static String headCommit() {
    String commit = git("rev-parse", "--short=12", "HEAD");
    if (commit.isEmpty()) {
      return "unknown: not run inside a git checkout";
    }
    return git("status", "--porcelain", "--untracked-files=no").isEmpty() ? commit : commit + "+";
  }

  private static String git(String... arguments) {
    String[] command = new String[arguments.length + 1];
    command[0] = "git";
    System.arraycopy(arguments, 0, command, 1, arguments.length);
    try {
      Process process =
          new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD).start();
      String output =
          new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
      return process.waitFor(10, TimeUnit.SECONDS) && process.exitValue() == 0 ? output : "";
    } catch (IOException e) {
      return "";
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return "";
    }
  }
}
