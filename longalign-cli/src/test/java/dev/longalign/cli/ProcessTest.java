package dev.longalign.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * What only a process of its own shows: signals, stdout that fails, an environment without LANG.
 */
@Timeout(value = 5, unit = TimeUnit.MINUTES)
final class ProcessTest {

  @TempDir Path temp;

  private Process process;

  private ProcessBuilder longalign(String... arguments) {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of("-XX:TieredStopAtLevel=1", "-Xmx512m", "-cp"));
    command.add(
        System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")));
    command.add(Main.class.getName());
    command.addAll(List.of(arguments));
    return new ProcessBuilder(command)
        .directory(temp.toFile())
        .redirectError(temp.resolve("stderr").toFile());
  }

  @AfterEach
  void end() {
    process.destroyForcibly();
  }

  private int exitCode() throws InterruptedException {
    assertThat(process.waitFor(2, TimeUnit.MINUTES)).isTrue();
    return process.exitValue();
  }

  private String stderr() throws IOException {
    return Files.readString(temp.resolve("stderr"));
  }

  @Test
  void picturesThatAreDoneOutliveASignal() throws Exception {
    process =
        longalign(
                ("sample --images 5000 --steps 1 --width 32 --height 32 --batch 2 --out many"
                        + " a,red,circle")
                    .split(" "))
            .start();
    List<String> told = new ArrayList<>();
    try (BufferedReader out = process.inputReader(StandardCharsets.UTF_8)) {
      told.add(out.readLine());
      process.toHandle().destroy(); // TERM
      out.lines().forEach(told::add);
    }
    assertThat(exitCode()).isEqualTo(143);
    assertThat(stderr()).contains("the step under way ends first", "longalign: cancelled\n");
    assertThat(told).hasSizeBetween(1, 4999);
    try (Stream<Path> files = Files.list(temp.resolve("many"))) {
      List<Path> written = files.sorted().toList();
      assertThat(written).hasSameSizeAs(told);
      for (Path picture : written) {
        assertThat(ImageIO.read(picture.toFile()).getWidth()).isEqualTo(32);
      }
    }
  }

  @Test
  void aSecondSignalEndsAtOnceAndLeavesNothing() throws Exception {
    process =
        longalign(
                "sample", "a red circle", "--width", "2048", "--height", "2048", "--out", "o/a.png")
            .start();
    // Starting takes less, the first step minutes.
    while (cpuTime(process).toSeconds() < 10 && process.isAlive()) {
      Thread.sleep(50);
    }
    process.toHandle().destroy();
    while (!stderr().contains("ends first") && process.isAlive()) {
      Thread.sleep(10);
    }
    process.toHandle().destroy();
    assertThat(exitCode()).isEqualTo(143);
    assertThat(temp.resolve("o")).doesNotExist();
    try (Stream<Path> files = Files.list(temp)) {
      assertThat(files).as("no hs_err file").hasSize(1);
    }
  }

  private static Duration cpuTime(Process process) {
    return process.info().totalCpuDuration().orElse(Duration.ZERO);
  }

  @Test
  void resultsThatReachNobodyAreNoSuccess() throws Exception {
    File full = new File("/dev/full");
    assumeThat(full).as("a disk that is full").exists();
    process = longalign("--help").redirectOutput(full).start();
    assertThat(exitCode()).isEqualTo(ExitCode.FAILED);
    assertThat(stderr()).contains("standard output cannot be written: No space left");

    process = longalign("--version").start();
    process.getInputStream().close();
    assertThat(exitCode()).isEqualTo(StandardOutput.BROKEN_PIPE);
    assertThat(stderr()).isEmpty();
  }

  @Test
  void promptsSurviveAnEnvironmentWithoutLocale() throws Exception {
    assumeThat(System.getProperty("sun.jnu.encoding")).isEqualTo("UTF-8");
    ProcessBuilder builder = longalign("encode", "Ein grünes Dreieck. 東京.");
    builder.environment().keySet().removeIf(name -> name.startsWith("LC_") || name.equals("LANG"));
    process = builder.start();
    try (BufferedReader out = process.inputReader(StandardCharsets.UTF_8)) {
      assertThat(out.lines())
          .anyMatch(line -> line.endsWith("Ein grünes Dreieck."))
          .anyMatch(line -> line.endsWith("東京."));
    }
    assertThat(exitCode()).isZero();

    builder = longalign("inspect", "bild-ü.png");
    builder.environment().keySet().removeIf(name -> name.startsWith("LC_") || name.equals("LANG"));
    process = builder.start();
    assertThat(exitCode()).isEqualTo(ExitCode.USAGE);
    assertThat(stderr()).contains("bild-ü.png", "LC_ALL=C.UTF-8").doesNotContain("Exception");
  }
}
