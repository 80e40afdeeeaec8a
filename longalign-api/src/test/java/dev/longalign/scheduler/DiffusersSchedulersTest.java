package dev.longalign.scheduler;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.ReferenceBackend;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import dev.longalign.tensor.Tolerance;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.Reader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/**
 * Whole runs of every scheduler against diffusers 0.40 on a synthetic network, over configs. The
 * resource {@code diffusers_schedulers.json} is the output of {@code diffusers_schedulers.py}
 * beside it, whose only need of diffusers is the seven scheduler files and a {@code randn_tensor}
 * that returns the given noise.
 */
class DiffusersSchedulersTest {
  private static final Shape SHAPE = Shape.of(1, 1, 3, 2);

  private static final Map<String, Scheduler> NAMES =
      Map.of(
          "UniPCMultistepScheduler",
          Scheduler.UNIPC,
          "LCMScheduler",
          Scheduler.LCM,
          "DDIMScheduler",
          Scheduler.DDIM,
          "DDPMScheduler",
          Scheduler.DDPM,
          "EulerDiscreteScheduler",
          Scheduler.EULER,
          "EulerAncestralDiscreteScheduler",
          Scheduler.EULER_ANCESTRAL,
          "DPMSolverMultistepScheduler",
          Scheduler.DPMPP_2M);

  private final Backend backend = new ReferenceBackend();

  @TestFactory
  List<DynamicTest> wholeRuns() throws IOException {
    List<DynamicTest> tests = new ArrayList<>();
    try (Reader reader =
        new InputStreamReader(
            DiffusersSchedulersTest.class.getResourceAsStream("diffusers_schedulers.json"),
            StandardCharsets.UTF_8)) {
      for (JsonElement element : JsonParser.parseReader(reader).getAsJsonArray()) {
        JsonObject run = element.getAsJsonObject();
        String name =
            run.get("scheduler").getAsString()
                + " "
                + run.get("config")
                + ", "
                + run.get("steps")
                + " steps, strength "
                + run.get("strength")
                + ", eta "
                + run.get("eta");
        tests.add(DynamicTest.dynamicTest(name, () -> check(run)));
      }
    }
    assertThat(tests).hasSizeGreaterThan(90);
    return tests;
  }

  private void check(JsonObject expected) {
    Scheduler scheduler = NAMES.get(expected.get("scheduler").getAsString());
    SchedulerConfig config =
        SchedulerConfig.of(config(expected.getAsJsonObject("config")), scheduler)
            .withEta(expected.get("eta").getAsDouble());
    config =
        config.withConsistency(
            new SchedulerConfig.Consistency(
                config.consistency().originalInferenceSteps(),
                config.consistency().timestepScaling(),
                true));
    double strength = expected.get("strength").getAsDouble();
    try (TensorScope scope = TensorScope.open();
        SchedulerRun run = scheduler.start(config, expected.get("steps").getAsInt(), strength)) {
      checkTimesteps(run.timesteps(), expected.getAsJsonArray("timesteps"));
      assertThat(run.initNoiseSigma())
          .isCloseTo(
              expected.get("init_noise_sigma").getAsFloat(),
              within(1e-6f * Math.max(1, run.initNoiseSigma())));
      Tensor c = wave(0.9, 0.2);
      Tensor start = wave(1.3, 0.7);
      Tensor x =
          strength < 1
              ? run.addNoise(start, wave(1.7, 0.3 + 99), 0)
              : start.scale(run.initNoiseSigma());
      JsonObject latents = expected.getAsJsonObject("latents");
      // Euler with zero terminal SNR starts from sigma 4096, where diffusers itself rounds to 5e-4
      // in f32.
      Tolerance tolerance = Tolerance.relative(Math.max(2e-5, 1e-8 * run.initNoiseSigma()));
      int compared = 0;
      for (int i = 0; i < run.steps(); i++) {
        int step = i;
        Tensor output =
            Tensor.linearCombination(
                new float[] {0.1f, (float) Math.sin(0.01 * run.timestep(i))},
                run.scaleModelInput(x, i),
                c);
        x = run.step(i, output, x, () -> wave(1.7, 0.3 + step));
        if (latents.has("" + i)) {
          float[] values = new float[6];
          for (int j = 0; j < 6; j++) {
            values[channelsLast(j)] = latents.getAsJsonArray("" + i).get(j).getAsFloat();
          }
          tolerance.check("latents after step " + i, SHAPE, values, x);
          compared++;
        }
      }
      assertThat(compared).isEqualTo(latents.size());
    }
  }

  private static JsonObject config(JsonObject given) {
    JsonObject config = new JsonObject();
    if (given.has("sd")) {
      config =
          JsonParser.parseString(
                  "{'num_train_timesteps': 1000, 'beta_start': 0.00085, 'beta_end': 0.012, 'beta_schedule': 'scaled_linear',"
                      + " 'clip_sample': false, 'set_alpha_to_one': false, 'steps_offset': 1}")
              .getAsJsonObject();
    }
    for (Map.Entry<String, JsonElement> entry : given.entrySet()) {
      config.add(entry.getKey(), entry.getValue());
    }
    return config;
  }

  /** The resource keeps the first and last four of long lists. */
  private static void checkTimesteps(float[] actual, JsonArray expected) {
    int n = expected.size();
    for (int i = 0; i < n; i++) {
      int at = actual.length == n || i < 4 ? i : actual.length - n + i;
      assertThat(actual[at])
          .as("timestep %d", at)
          .isCloseTo(expected.get(i).getAsFloat(), within(2e-3f));
    }
    assertThat(actual.length).isGreaterThanOrEqualTo(n);
  }

  /** The script's [1, 2, 1, 3] wave as [1, 1, 3, 2]. */
  private Tensor wave(double a, double b) {
    float[] values = new float[6];
    for (int j = 0; j < 6; j++) {
      values[channelsLast(j)] = (float) (Math.sin(a * j + b) * 1.5);
    }
    return Tensor.of(backend, SHAPE, values);
  }

  private static int channelsLast(int j) {
    return j % 3 * 2 + j / 3;
  }
}
