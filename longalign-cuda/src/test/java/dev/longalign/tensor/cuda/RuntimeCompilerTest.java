package dev.longalign.tensor.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Device;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;
import org.junit.jupiter.api.io.TempDir;

/**
 * Kernels compiled at first use, by the emulator's NVRTC, in processes of their own with a cache of
 * their own. A family of one kernel stands before the real one, which takes long.
 */
@EnabledIf(value = Emulator.IS_BUILT, disabledReason = Emulator.MISSING)
class RuntimeCompilerTest {
  private static final String FAMILY = "pointwise";
  private static final String SOURCE =
      """
      #include "device.cuh"
      KERNEL(clamp_fwd_f32, 256, 4, (const f32* x, f32* y, i64 n, int wide, float low, float high)) {
        after_kernels_before();
        for (i64 i = grid_thread(); i < n; i += grid_threads()) {
          y[i] = from_float<f32>(min(max(to_float(x[i]), low), high));
        }
      }
      """;

  @TempDir Path temp;

  /** Clamps three numbers. */
  public static final class Clamp {
    public static void main(String[] args) {
      try (Backend backend = Device.cuda(0).open(0);
          TensorScope scope = TensorScope.open()) {
        Tensor x = Tensor.of(backend, Shape.of(3), new float[] {-5, 0.5f, 5});
        System.out.println("clamped " + Arrays.toString(x.clamp(-1, 1).toFloats()));
      }
    }
  }

  @BeforeEach
  void source() throws IOException {
    Emulator.require();
    write(FAMILY + ".cu", SOURCE);
  }

  private void write(String name, String text) throws IOException {
    Path file = temp.resolve("first/dev/longalign/tensor/cuda/kernels").resolve(name);
    Files.createDirectories(file.getParent());
    Files.writeString(file, text);
  }

  private Process start() throws IOException {
    return start(Emulator.folder());
  }

  private Process start(Path libraries) throws IOException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    if (Runtime.version().feature() >= 22) {
      command.add("--enable-native-access=ALL-UNNAMED");
    }
    String classes = temp.resolve("first") + File.pathSeparator;
    command.addAll(
        List.of(
            "-XX:TieredStopAtLevel=1",
            "-cp",
            classes + System.getProperty("java.class.path"),
            Clamp.class.getName()));
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().put("LD_LIBRARY_PATH", libraries.toString());
    builder.environment().put("XDG_CACHE_HOME", temp.resolve("cache").toString());
    builder.environment().put("LONGALIGN_EMULATOR_NVRTC_LOG", log().toString());
    return builder.start();
  }

  private static String output(Process process) throws IOException, InterruptedException {
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor(120, TimeUnit.SECONDS)).isTrue();
    return output;
  }

  private String run() throws Exception {
    return output(start());
  }

  private Path log() {
    return temp.resolve("compiled");
  }

  private long compilations() throws IOException {
    return Files.exists(log()) ? Files.readAllLines(log()).size() : 0;
  }

  private List<Path> cache() throws IOException {
    Path kernels = Files.createDirectories(temp.resolve("cache/longalign/kernels"));
    try (Stream<Path> files = Files.list(kernels)) {
      return files.toList();
    }
  }

  /** A driver calls every kernel that is not in a module an error. */
  @Test
  void everyKernelIsLookedForWhereItIs() throws IOException {
    Path list = Emulator.folder().resolve("kernels.txt");
    Assumptions.assumeTrue(Files.exists(list), "the list of kernels is made with the emulator");
    List<String> kernels = Files.readAllLines(list);
    assertThat(kernels).hasSizeGreaterThan(200);
    assertThat(kernels)
        .allSatisfy(
            line -> {
              String[] familyAndName = line.split(" ");
              assertThat(Kernels.candidates(familyAndName[1])).startsWith(familyAndName[0]);
            });
  }

  @Test
  void cuda13sServesUnderTheOldName() throws Exception {
    Assumptions.assumeTrue(
        CudaLibrary.class.getResource("libnvrtc-forward.so") != null,
        "the build found no C compiler");
    for (String folder : List.of("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64")) {
      Path installed = Path.of(folder, "libnvrtc.so.12");
      Assumptions.assumeFalse(Files.exists(installed), installed + " comes first");
    }
    Path libraries = Files.createDirectory(temp.resolve("cuda13"));
    for (String library : List.of("libcuda.so.1", "libnvrtc.so.13")) {
      Files.createSymbolicLink(libraries.resolve(library), Emulator.folder().resolve(library));
    }
    assertThat(output(start(libraries))).contains("libnvrtc.so.13", "clamped [-1.0, 0.5, 1.0]");
    assertThat(compilations()).isEqualTo(1);
  }

  @Test
  void aFamilyIsCompiledOnceByWhoeverComesFirst() throws Exception {
    Process one = start();
    Process two = start();
    assertThat(output(one)).contains("clamped [-1.0, 0.5, 1.0]");
    assertThat(output(two)).contains("clamped [-1.0, 0.5, 1.0]");
    long compiled = compilations();
    assertThat(compiled).isBetween(1L, 2L);
    assertThat(Files.readAllLines(log())).as("no other family").containsOnly(FAMILY + ".cu");
    assertThat(cache())
        .as("one file, whole, and nothing half written")
        .singleElement()
        .satisfies(
            file ->
                assertThat(file.getFileName().toString())
                    .startsWith(FAMILY + "-")
                    .endsWith(".cubin"));
    assertThat(run()).contains("clamped [-1.0, 0.5, 1.0]");
    assertThat(compilations()).as("the next start finds it").isEqualTo(compiled);
    write(FAMILY + ".cu", SOURCE + "// changed");
    assertThat(run()).contains("clamped [-1.0, 0.5, 1.0]");
    assertThat(compilations()).as("another source").isEqualTo(compiled + 1);

    Path file = cache().get(0);
    Files.write(file, Arrays.copyOf(Files.readAllBytes(file), 1000));
    Files.write(cache().get(1), new byte[0]);
    assertThat(run()).contains("is damaged", "clamped [-1.0, 0.5, 1.0]");
    assertThat(compilations()).as("a damaged file").isEqualTo(compiled + 2);
  }

  @Test
  void anErrorShowsTheCompilersLog() throws Exception {
    write(FAMILY + ".cu", SOURCE.replace("grid_thread()", "grid_thread(undeclared)"));
    assertThat(run())
        .contains(
            "NVRTC does not compile pointwise.cu: NVRTC_ERROR_COMPILATION",
            "pointwise.cu:4:",
            "undeclared")
        .doesNotContain("clamped");
    assertThat(cache()).isEmpty();
  }

  /** Compiled by a later CUDA than the driver knows, for example. */
  @Test
  void compiledKernelsThatTheDriverDoesNotTakeAreCompiledAgain() throws Exception {
    write(FAMILY + ".fatbin", "for another driver ".repeat(10));
    assertThat(run()).contains("clamped [-1.0, 0.5, 1.0]");
    assertThat(compilations()).isEqualTo(1);
  }
}
