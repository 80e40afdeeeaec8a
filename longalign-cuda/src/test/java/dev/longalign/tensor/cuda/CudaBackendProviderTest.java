package dev.longalign.tensor.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.BackendProvider;
import dev.longalign.tensor.Device;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/** Why CUDA cannot be used is said exactly; each case in a process of its own. */
class CudaBackendProviderTest {

  /** Prints what the provider says, or what opening a device does. */
  public static final class Ask {
    public static void main(String[] args) {
      if (args.length > 0) {
        try {
          Device.parse(args[0]).open(0).close();
          System.out.println("answer: opened");
        } catch (LongAlignException e) {
          System.out.println("answer: " + e.getMessage());
        }
        return;
      }
      for (BackendProvider provider : ServiceLoader.load(BackendProvider.class)) {
        if (provider.kind().equals("cuda")) {
          System.out.println("answer: " + provider.whyUnavailable());
        }
      }
    }
  }

  private static String answer(Map<String, String> environment, String... arguments)
      throws IOException, InterruptedException {
    Path java = Path.of(System.getProperty("java.home"), "bin", "java");
    List<String> command = new ArrayList<>(List.of(java.toString()));
    if (Runtime.version().feature() >= 22) {
      // Else these JDKs print a warning of their own, and nothing but the answer is expected.
      command.add("--enable-native-access=ALL-UNNAMED");
    }
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), Ask.class.getName()));
    command.addAll(List.of(arguments));
    ProcessBuilder builder = new ProcessBuilder(command);
    builder.redirectErrorStream(true);
    builder
        .environment()
        .keySet()
        .removeIf(name -> name.equals("LD_LIBRARY_PATH") || name.startsWith("LONGALIGN_EMULATOR"));
    builder.environment().putAll(environment);
    Process process = builder.start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
    return output.strip();
  }

  private static Map<String, String> emulator(String name, String value) {
    Emulator.require();
    return Map.of("LD_LIBRARY_PATH", Emulator.folder().toString(), name, value);
  }

  @Test
  void withoutADriver() throws Exception {
    String answer = answer(Map.of());
    Assumptions.assumeFalse(answer.endsWith("null"), "this machine has an NVIDIA driver");
    assertThat(answer)
        .as("nothing else is printed")
        .startsWith("answer: there is no NVIDIA driver here")
        .contains("libcuda.so.1");
  }

  @Test
  void withAnOldDriver() throws Exception {
    assertThat(answer(emulator("LONGALIGN_EMULATOR_DRIVER", "11040")))
        .contains("too old", "it is for CUDA 11.4", "needed is CUDA 12.0", "525.60");
  }

  @Test
  void withoutADevice() throws Exception {
    assertThat(answer(emulator("LONGALIGN_EMULATOR_DEVICES", "0")))
        .contains("has no GPU", "CUDA_VISIBLE_DEVICES");
  }

  @Test
  void withADeviceThatIsTooOld() throws Exception {
    assertThat(answer(emulator("LONGALIGN_EMULATOR_CAPABILITY", "75"), "cuda:0"))
        .contains("cuda:0 (CUDA emulator", "compute capability 7.5", "8.0 (Ampere) or later");
  }

  @Test
  void withADevice() throws Exception {
    assertThat(answer(emulator("LONGALIGN_EMULATOR_DEVICES", "1"))).isEqualTo("answer: null");
  }

  @Test
  void aDeviceThatIsNotThereIsRefused() {
    Emulator.require();
    assertThatThrownBy(() -> Device.cuda(7).open(0))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContainingAll("cuda:7: there is no such device", "2, cuda:0 to cuda:1");
  }
}
