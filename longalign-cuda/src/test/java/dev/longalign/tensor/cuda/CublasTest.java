package dev.longalign.tensor.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Epilogue;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;

/**
 * Where cuBLAS is used, and what happens where it is not there; each in a process of its own, for a
 * library that was loaded stays loaded.
 */
@EnabledIf(value = Emulator.IS_BUILT, disabledReason = Emulator.MISSING)
class CublasTest {

  /** Computes some products; prints how many cuBLAS did, and a sum of the results. */
  public static final class Products {
    public static void main(String[] args) {
      try (CudaBackend backend = new CudaBackend(0);
          TensorScope scope = TensorScope.open()) {
        Tensor x = random(backend, 5, 24);
        Tensor w = random(backend, 7, 24);
        float sum = 0;
        for (int i = 0; i < 2; i++) {
          Tensor y = x.linear(backend.packLinear(w, null, DType.F32));
          Tensor z =
              x.linear(backend.packLinear(w, random(backend, 7), DType.F32), Epilogue.residual(y));
          for (float value : z.matmul(w, false).toFloats()) {
            sum += Math.abs(value);
          }
        }
        System.out.println("cublas=" + backend.cublasProducts() + " sum=" + Math.round(sum));
      }
    }

    private static Tensor random(CudaBackend backend, long... dims) {
      Random random = new Random(dims.length);
      float[] values = new float[(int) Shape.of(dims).size()];
      for (int i = 0; i < values.length; i++) {
        values[i] = random.nextFloat() - 0.5f;
      }
      return Tensor.of(backend, Shape.of(dims), values);
    }
  }

  private static String run(String mode, String... libraries) throws Exception {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    if (Runtime.version().feature() >= 22) {
      command.add("--enable-native-access=ALL-UNNAMED");
    }
    command.add("-D" + Cublas.PROPERTY + "=" + mode);
    command.add("-Dlongalign.cuda.kernels=" + Emulator.kernels());
    command.add("-Dorg.slf4j.simpleLogger.log.dev.longalign=debug");
    command.addAll(List.of("-cp", System.getProperty("java.class.path")));
    command.add(Products.class.getName());
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    StringBuilder path = new StringBuilder(Emulator.folder().toString());
    for (String library : libraries) {
      path.append(':').append(Emulator.folder().resolve(library));
    }
    builder.environment().put("LD_LIBRARY_PATH", path.toString());
    Process process = builder.start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
    assertThat(process.exitValue()).as(output).isZero();
    return output;
  }

  private static String sum(String output) {
    return output.lines().filter(line -> line.contains("sum=")).findFirst().orElseThrow();
  }

  @Test
  void itComputesWhatItIsAskedTo() throws Exception {
    String own = sum(run("off", "cublas12"));
    assertThat(own).startsWith("cublas=0 ");
    String library = run("on", "cublas12");
    assertThat(library).contains("cuBLAS 120000", "libcublas.so.12");
    assertThat(sum(library)).startsWith("cublas=6 ").endsWith(own.substring(own.indexOf("sum=")));
  }

  /** The first product of a shape is computed both ways, the faster one stays. */
  @Test
  void whereSpeedDecidesBothAreTried() throws Exception {
    String measured = run("auto", "cublas12");
    String own = sum(run("off", "cublas12"));
    assertThat(sum(measured))
        .doesNotContain("cublas=0 ")
        .endsWith(own.substring(own.indexOf("sum=")));
  }

  @Test
  void withoutItOwnKernelsCompute() throws Exception {
    assumeNoCublasHere();
    String output = run("auto");
    assertThat(sum(output)).startsWith("cublas=0 ");
    assertThat(output)
        .contains(
            "DEBUG", "kernels of our own", "libcublas.so.12 is not there, nor libcublas.so.13");
    assertThat(run("on")).contains("WARN", "libcublas.so.12 is not there");
  }

  @Test
  void cuda13sServesUnderTheOldName() throws Exception {
    assumeNoCublasHere();
    Assumptions.assumeTrue(
        CudaLibrary.class.getResource("libcublas-forward.so") != null,
        "the build found no C compiler");
    String output = run("on", "cublas13");
    assertThat(output).contains("cuBLAS 130000", "libcublas.so.13", "forwarded=true");
    assertThat(sum(output)).isEqualTo(sum(run("on", "cublas12")));
  }

  private static void assumeNoCublasHere() {
    for (String folder : List.of("/lib/x86_64-linux-gnu", "/usr/local/cuda/lib64", "/lib64")) {
      for (String name : List.of("libcublas.so.12", "libcublas.so.13")) {
        Assumptions.assumeFalse(Files.exists(Path.of(folder, name)), "this machine has " + name);
      }
    }
  }

  @Test
  void anotherWordIsRefused() {
    Emulator.require();
    System.setProperty(Cublas.PROPERTY, "yes");
    try {
      assertThatThrownBy(() -> new CudaBackend(0))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("expected off, auto or on, found yes");
    } finally {
      System.clearProperty(Cublas.PROPERTY);
    }
  }
}
