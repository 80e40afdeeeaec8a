package dev.longalign.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.withinPercentage;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * {@code --device cuda} in a process of its own: without a driver, and on the CUDA emulator that
 * longalign-cuda's tests build (skipped where there is none).
 */
class GpuCommandTest {
  private static final Path EMULATOR =
      Path.of("..", "longalign-cuda", "target", "emulator").toAbsolutePath().normalize();
  private static final String PROMPT = "A large red circle in the center. The backdrop is white.";

  @TempDir Path temp;

  private record Outcome(int exitCode, String out, String err) {}

  private Outcome run(boolean emulator, String... arguments)
      throws IOException, InterruptedException {
    return run(emulator, Map.of(), arguments);
  }

  private Outcome run(boolean emulator, Map<String, String> environment, String... arguments)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    if (emulator) {
      Path kernels = EMULATOR.resolve("longalign-kernels.so");
      Assumptions.assumeTrue(Files.exists(kernels), "no CUDA emulator in " + EMULATOR);
      command.add("-Dlongalign.cuda.kernels=" + kernels);
    }
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), Main.class.getName()));
    command.addAll(List.of(arguments));
    Path out = temp.resolve("stdout");
    Path err = temp.resolve("stderr");
    ProcessBuilder builder =
        new ProcessBuilder(command).redirectOutput(out.toFile()).redirectError(err.toFile());
    builder.environment().remove("LD_LIBRARY_PATH");
    if (emulator) {
      builder.environment().put("LD_LIBRARY_PATH", EMULATOR.toString());
    }
    builder.environment().putAll(environment);
    Process process = builder.start();
    try {
      assertThat(process.waitFor(300, TimeUnit.SECONDS)).as("it ends").isTrue();
    } finally {
      process.destroyForcibly();
    }
    return new Outcome(process.exitValue(), read(out), read(err));
  }

  private static String read(Path file) throws IOException {
    return Files.readString(file, StandardCharsets.UTF_8);
  }

  @Test
  void withoutADriverItIsAnErrorThatSaysWhy() throws Exception {
    Path target = temp.resolve("o.png");
    Outcome outcome = run(false, "sample", PROMPT, "--device", "cuda", "--out", target.toString());
    Assumptions.assumeTrue(outcome.exitCode() != 0, "this machine has an NVIDIA driver");
    assertThat(outcome.exitCode()).as(outcome.err()).isEqualTo(ExitCode.FAILED);
    assertThat(outcome.err())
        .contains("device cuda cannot be used", "no NVIDIA driver here", "libcuda.so.1")
        .doesNotContain("\tat ");
    assertThat(target).doesNotExist();
  }

  @Test
  void doctorNamesTheDeviceAndItsMemory() throws Exception {
    Outcome outcome = run(true, "doctor", "--json");
    assertThat(outcome.exitCode()).as(outcome.out() + outcome.err()).isEqualTo(ExitCode.OK);
    JsonObject report = JsonParser.parseString(outcome.out()).getAsJsonObject();
    assertThat(found(report, "devices"))
        .contains("driver for CUDA 12.6", "cuda:0 CUDA emulator", "sm_86", "4.0 of 4.0 GiB free");
    assertThat(found(report, "backend cuda")).contains("CudaBackendProvider");
    assertThat(found(report, "cuBLAS (optional)")).contains("libcublas.so.1");
    assertThat(found(report, "encoders on a GPU")).contains("CUDA provider");
  }

  /** The emulator has an NVRTC of its own beside the driver. */
  @Test
  void doctorNamesEveryDeviceAndWhatIsTooOld() throws Exception {
    Map<String, String> environment =
        Map.of("LONGALIGN_EMULATOR_DEVICES", "2", "LONGALIGN_EMULATOR_CAPABILITY", "90,75");
    Outcome both = run(true, environment, "doctor", "--json");
    JsonObject report = JsonParser.parseString(both.out()).getAsJsonObject();
    assertThat(found(report, "devices"))
        .contains("cuda:0 CUDA emulator", "(sm_90)", "cuda:1 CUDA emulator", "(sm_75)");
    assertThat(found(report, "NVRTC (optional)"))
        .contains("libnvrtc.so.12 in " + EMULATOR.resolve("libnvrtc.so.12"));
    Outcome old = run(true, Map.of("LONGALIGN_EMULATOR_CAPABILITY", "75"), "doctor");
    assertThat(old.out()).contains("needed is compute capability 8.0 (Ampere) or later");
    Outcome driver = run(true, Map.of("LONGALIGN_EMULATOR_DRIVER", "11080"), "doctor");
    assertThat(driver.out())
        .contains("driver for CUDA 11.8", "needed is a driver for CUDA 12.0 or later (525.60)");
  }

  private static String found(JsonObject report, String name) {
    for (JsonElement element : report.getAsJsonArray("checks")) {
      JsonObject check = element.getAsJsonObject();
      if (check.get("name").getAsString().equals(name)) {
        return check.get("found").getAsString();
      }
    }
    throw new AssertionError("no check " + name + " in " + report);
  }

  /** One step, at a quarter of the model's size: the emulator is slow. */
  @Test
  void aPictureOfTheGpuIsThatOfTheCpu() throws Exception {
    BufferedImage gpu = sample("cuda");
    BufferedImage cpu = sample("cpu");
    for (int y = 0; y < cpu.getHeight(); y++) {
      for (int x = 0; x < cpu.getWidth(); x++) {
        for (int shift = 0; shift < 24; shift += 8) {
          int expected = cpu.getRGB(x, y) >> shift & 255;
          int found = gpu.getRGB(x, y) >> shift & 255;
          assertThat(Math.abs(expected - found)).as("(%d, %d)", x, y).isLessThanOrEqualTo(1);
        }
      }
    }
  }

  private BufferedImage sample(String device) throws Exception {
    Path target = temp.resolve(device + ".png");
    Outcome outcome =
        run(
            true,
            "sample",
            PROMPT,
            "--device",
            device,
            "--steps",
            "1",
            "--width",
            "48",
            "--height",
            "48",
            "--out",
            target.toString());
    assertThat(outcome.exitCode()).as(outcome.out() + outcome.err()).isEqualTo(ExitCode.OK);
    encodersSayThatTheyStayOnTheCpu(outcome, device);
    return ImageIO.read(target.toFile());
  }

  /** With ONNX Runtime's artifact for CPUs. */
  private static void encodersSayThatTheyStayOnTheCpu(Outcome outcome, String device) {
    assertThat(outcome.err().contains("text encoders run on the CPU"))
        .as(outcome.err())
        .isEqualTo(device.equals("cuda"));
  }

  /** One step of stage align on the embedded model, through the CUDA driver's interface. */
  @Test
  void aTrainingStepOnTheGpuIsThatOnTheCpu() throws Exception {
    JsonObject gpu = train("cuda");
    JsonObject cpu = train("cpu");
    for (String number : List.of("loss", "gradient_norm")) {
      assertThat(gpu.get(number).getAsDouble())
          .as(number)
          .isPositive()
          .isCloseTo(cpu.get(number).getAsDouble(), withinPercentage(0.01));
    }
  }

  @Test
  void aCacheIsEncodedWhereItIsAskedTo() throws Exception {
    Outcome outcome =
        run(
            true,
            "cache",
            "--data",
            "panels:short:1",
            "--resolution",
            "16",
            "--device",
            "cuda",
            "--out",
            temp.resolve("cache").toString());
    assertThat(outcome.exitCode()).as(outcome.out() + outcome.err()).isEqualTo(ExitCode.OK);
    encodersSayThatTheyStayOnTheCpu(outcome, "cuda");
  }

  private JsonObject train(String device) throws Exception {
    Path config =
        Files.writeString(
            temp.resolve(device + ".yaml"),
            "{output: " + device + ", steps: 1, resolution: 48, rank: 4, warmupSteps: 0}");
    Outcome outcome =
        run(true, "train", "align", "--config", config.toString(), "--device", device, "--json");
    assertThat(outcome.exitCode()).as(outcome.out() + outcome.err()).isEqualTo(ExitCode.OK);
    encodersSayThatTheyStayOnTheCpu(outcome, device);
    for (String line : Files.readAllLines(temp.resolve(device).resolve("events.jsonl"))) {
      JsonObject event = JsonParser.parseString(line).getAsJsonObject();
      if (event.get("event").getAsString().equals("step")) {
        return event;
      }
    }
    throw new AssertionError("no step in events.jsonl");
  }
}
