package dev.longalign.scheduler;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.longalign.scheduler.SchedulerConfig.Consistency;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.ReferenceBackend;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import dev.longalign.tensor.Tolerance;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/**
 * The trajectories of golden/schedulers/schedulers.json: UniPC and LCM on the network {@code 0.1 x
 * + sin(0.01 t) c}. Their names say the case: {@code unipc_PREDICTION_STEPS...} with a {@code
 * _config} in the values, or {@code lcm_PREDICTION_(forced|stock)_STEPS}.
 */
class GoldenSchedulersTest {
  /** Of the largest latent; the reference rounds its coefficients to f32. */
  private static final Tolerance TOLERANCE = Tolerance.relative(1e-5);

  private final Backend backend = new ReferenceBackend();
  private final Golden golden = Golden.open("schedulers/schedulers");

  @TestFactory
  List<DynamicTest> unipc() {
    List<DynamicTest> tests = new ArrayList<>();
    for (String name : golden.names()) {
      if (name.startsWith("unipc_") && !name.endsWith("_sigmas")) {
        tests.add(DynamicTest.dynamicTest(name, () -> checkUnipc(name)));
      }
    }
    assertThat(tests).isNotEmpty();
    return tests;
  }

  private void checkUnipc(String name) {
    JsonObject json = golden.values().getAsJsonObject(name + "_config");
    SchedulerConfig config = SchedulerConfig.of(json, Scheduler.UNIPC);
    int steps = golden.shape(name).intDim(0);
    assertThat(SigmaGrid.forSolver(config, steps, true).sigmas())
        .containsExactly(golden.floats(name + "_sigmas"), within(2e-6f));
    try (TensorScope scope = TensorScope.open();
        SchedulerRun run = Scheduler.UNIPC.start(config, steps)) {
      assertThat(run.timesteps()).isEqualTo(timesteps(name));
      Tensor x = golden.tensor(backend, "init").scale(run.initNoiseSigma());
      for (int i = 0; i < steps; i++) {
        x = run.step(i, network(run.scaleModelInput(x, i), run.timestep(i)), x, null);
        check(name, i, x);
      }
    }
  }

  @TestFactory
  List<DynamicTest> lcm() {
    List<DynamicTest> tests = new ArrayList<>();
    for (String name : golden.names()) {
      if (name.startsWith("lcm_") && name.endsWith("_prev")) {
        String stem = name.substring(0, name.length() - "_prev".length());
        tests.add(DynamicTest.dynamicTest(stem, () -> checkLcm(stem)));
      }
    }
    assertThat(tests).isNotEmpty();
    return tests;
  }

  private void checkLcm(String stem) {
    JsonObject json =
        JsonParser.parseString(
                "{'beta_start': 0.00085, 'beta_end': 0.012, 'beta_schedule': 'scaled_linear', 'set_alpha_to_one': false,"
                    + " 'clip_sample': false, 'steps_offset': 1}")
            .getAsJsonObject();
    if (stem.contains("v_prediction")) {
      json.addProperty("prediction_type", "v_prediction");
    }
    boolean stock = stem.contains("stock");
    SchedulerConfig config =
        SchedulerConfig.of(json, Scheduler.LCM).withConsistency(new Consistency(50, 10, stock));
    int steps = golden.shape(stem + "_prev").intDim(0);
    try (TensorScope scope = TensorScope.open();
        SchedulerRun run = Scheduler.LCM.start(config, steps)) {
      assertThat(run.timesteps()).isEqualTo(timesteps(stem));
      Tensor x = golden.tensor(backend, "init");
      for (int i = 0; i < steps; i++) {
        int step = i;
        Tensor output = network(x, run.timestep(i));
        // c_skip is below 1e-7 at these timesteps, so "denoised" is the predicted x0.
        check(stem + "_denoised", i, run.predictedOriginal(i, output, x));
        x = run.step(i, output, x, step == steps - 1 ? null : () -> noiseRow(step));
        check(stem + "_prev", i, x);
      }
    }
    if (stock) {
      ConsistencyBoundary boundary = ConsistencyBoundary.DEFAULT;
      List<JsonElement> scalings =
          golden.values().getAsJsonObject(stem + "_scalings").getAsJsonArray("value").asList();
      for (int i = 0; i < steps; i++) {
        int t = (int) timesteps(stem)[i];
        assertThat(boundary.cSkip(t))
            .isCloseTo(scalings.get(i).getAsJsonArray().get(0).getAsDouble(), within(1e-12));
        assertThat(boundary.cOut(t))
            .isCloseTo(scalings.get(i).getAsJsonArray().get(1).getAsDouble(), within(1e-7));
      }
    }
  }

  private Tensor network(Tensor x, float timestep) {
    return Tensor.linearCombination(
        new float[] {0.1f, (float) Math.sin(0.01 * timestep)}, x, golden.tensor(backend, "c"));
  }

  private float[] timesteps(String name) {
    List<JsonElement> values = golden.values().getAsJsonArray(name + "_timesteps").asList();
    float[] timesteps = new float[values.size()];
    for (int i = 0; i < timesteps.length; i++) {
      timesteps[i] = values.get(i).getAsFloat();
    }
    return timesteps;
  }

  private Tensor noiseRow(int step) {
    return Tensor.of(backend, golden.shape("init"), row("noises", step));
  }

  private void check(String name, int step, Tensor actual) {
    TOLERANCE.check(name + ", step " + step, golden.shape("init"), row(name, step), actual);
  }

  private float[] row(String name, int row) {
    Shape shape = golden.shape(name);
    int size = Math.toIntExact(shape.size() / shape.dim(0));
    return Arrays.copyOfRange(golden.floats(name), row * size, (row + 1) * size);
  }
}
