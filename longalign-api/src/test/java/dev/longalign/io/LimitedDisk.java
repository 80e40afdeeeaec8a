package dev.longalign.io;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** Runs a program where the disk is small: what fails then fails as it does for users. */
public final class LimitedDisk {
  private static final int TIMEOUT_SECONDS = 300;

  private LimitedDisk() {}

  /**
   * What a child process said.
   *
   * @param exitCode 0 if all went as it expected
   */
  public record Result(int exitCode, String output) {}

  /**
   * Runs a class's main with a file system of {@code bytes} mounted at {@code directory}, which is
   * its first argument; skips the test where a user may not mount one.
   */
  public static Result onSmallDisk(Path directory, long bytes, Class<?> main, String scenario) {
    String mount = "mount -t tmpfs -o size=" + bytes + " tmpfs " + quoted(directory.toString());
    assumeTrue(
        run(List.of("unshare", "-rm", "sh", "-c", mount)).exitCode() == 0,
        "unshare and mount of a tmpfs, for a disk that is full");
    String script = mount + " && exec " + java(main, scenario, directory);
    return run(List.of("unshare", "-rm", "sh", "-c", script));
  }

  /**
   * Runs a class's main where no file may be larger than {@code bytes}; skips the test where there
   * is no {@code ulimit}.
   */
  public static Result withFileLimit(Path directory, long bytes, Class<?> main, String scenario) {
    String limit = "ulimit -f " + bytes / 512; // POSIX: in units of 512 bytes
    assumeTrue(run(List.of("sh", "-c", limit)).exitCode() == 0, "ulimit, for small files");
    return run(List.of("sh", "-c", limit + " && exec " + java(main, scenario, directory)));
  }

  private static String java(Class<?> main, String scenario, Path directory) {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.add("-XX:-UsePerfData"); // a file of the virtual machine's own
    command.add("-Xmx1g");
    command.add("-cp");
    command.add(System.getProperty("java.class.path"));
    command.add(main.getName());
    command.add(scenario);
    command.add(directory.toString());
    return String.join(" ", command.stream().map(LimitedDisk::quoted).toList());
  }

  private static String quoted(String text) {
    return "'" + text.replace("'", "'\\''") + "'";
  }

  private static Result run(List<String> command) {
    try {
      Path output = Files.createTempFile("longalign-child-", ".txt");
      try {
        Process process =
            new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(output.toFile())
                .start();
        if (!process.waitFor(TIMEOUT_SECONDS, TimeUnit.SECONDS)) {
          process.destroyForcibly();
          throw new AssertionError(command + " takes more than " + TIMEOUT_SECONDS + " s");
        }
        return new Result(process.exitValue(), Files.readString(output, StandardCharsets.UTF_8));
      } finally {
        Files.deleteIfExists(output);
      }
    } catch (IOException notHere) {
      return new Result(127, notHere.toString());
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }
}
