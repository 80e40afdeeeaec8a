package dev.longalign.scheduler;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.ReferenceBackend;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import dev.longalign.tensor.Tolerance;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The noise schedule and the helpers of the training code: golden/schedulers/noising.json. */
class GoldenNoisingTest {
  private static final Tolerance TOLERANCE = Tolerance.relative(2e-6);

  private final Backend backend = new ReferenceBackend();
  private final Golden golden = Golden.open("schedulers/noising");
  private final NoiseSchedule schedule =
      NoiseSchedule.of(SchedulerConfig.stableDiffusion(Scheduler.DDPM).noise());
  private final DdimSolver solver = new DdimSolver(schedule, 50);
  private final int[] timesteps = ints(golden.values().get("timesteps"));
  private TensorScope scope;
  private Tensor sample;
  private Tensor noise;

  @BeforeEach
  void open() {
    scope = TensorScope.open();
    sample = golden.nhwc(backend, "sample");
    noise = golden.nhwc(backend, "noise");
  }

  @AfterEach
  void close() {
    scope.close();
  }

  @Test
  void betasAndCumulativeAlphas() {
    float[] betas = golden.floats("betas");
    float[] alphas = golden.floats("alphas_cumprod");
    assertThat(schedule.betas()).isEqualTo(betas);
    assertThat(schedule.alphasCumprod()).isEqualTo(alphas);
  }

  @Test
  void noisingAndVelocity() {
    golden.checkNhwc(TOLERANCE, "noisy", schedule.addNoise(sample, noise, timesteps));
    golden.checkNhwc(TOLERANCE, "velocity", schedule.velocity(sample, noise, timesteps));
  }

  @Test
  void predictionsOfX0() {
    Tensor noisy = golden.nhwc(backend, "noisy");
    golden.checkNhwc(
        TOLERANCE,
        "pred_x0_epsilon",
        schedule.predictedOriginal(PredictionType.EPSILON, noise, noisy, timesteps));
    golden.checkNhwc(
        TOLERANCE,
        "pred_x0_v_prediction",
        schedule.predictedOriginal(PredictionType.V_PREDICTION, noise, noisy, timesteps));
    golden.checkNhwc(
        TOLERANCE,
        "pred_x0_sample",
        schedule.predictedOriginal(PredictionType.SAMPLE, noise, noisy, timesteps));
  }

  /** From x0, noise and velocity of one noisy sample every type finds the same noise again. */
  @Test
  void predictionsOfTheNoiseAgree() {
    int[] inner = {1, 17, 250, 500, 600, 749, 800, 999};
    Tensor noisy = schedule.addNoise(sample, noise, inner);
    Tensor velocity = schedule.velocity(sample, noise, inner);
    Tolerance tolerance = Tolerance.relative(2e-5); // x0 at timestep 1 holds little of the noise
    tolerance.check(
        "epsilon", noise, schedule.predictedNoise(PredictionType.EPSILON, noise, noisy, inner));
    tolerance.check(
        "v", noise, schedule.predictedNoise(PredictionType.V_PREDICTION, velocity, noisy, inner));
    tolerance.check(
        "x0", noise, schedule.predictedNoise(PredictionType.SAMPLE, sample, noisy, inner));
  }

  @Test
  void ddimSteps() {
    golden.checkNhwc(TOLERANCE, "ddim_step", solver.step(sample, noise, timesteps));
    int[] targets = Arrays.stream(timesteps).map(t -> t - 20).toArray();
    golden.checkNhwc(TOLERANCE, "ddim_step_is_prev", solver.stepTo(sample, noise, targets));
  }

  @Test
  void timestepsOfRewardTraining() {
    assertThat(solver.timesteps())
        .isEqualTo(ints(golden.values().getAsJsonObject("reward_timesteps").get("value")));
    assertThat(new DdimSolver(schedule, 4).timesteps())
        .isEqualTo(ints(golden.values().getAsJsonObject("reward_lcm_timesteps").get("value")));
  }

  @Test
  void boundaryScalings() {
    for (int i = 0; i < timesteps.length; i++) {
      assertThat((float) ConsistencyBoundary.DEFAULT.cSkip(timesteps[i]))
          .isCloseTo(golden.floats("c_skip")[i], within(1e-7f));
      assertThat((float) ConsistencyBoundary.DEFAULT.cOut(timesteps[i]))
          .isCloseTo(golden.floats("c_out")[i], within(1e-7f));
    }
  }

  @Test
  void warmupOfTheLearningRate() {
    JsonObject expected = golden.values().getAsJsonObject("warmup_lr").getAsJsonObject("value");
    WarmupLearningRate rate = new WarmupLearningRate(3e-5, 2000);
    JsonArray first = expected.getAsJsonArray("first");
    for (int step = 0; step < first.size(); step++) {
      assertThat(rate.at(step)).isEqualTo(first.get(step).getAsDouble());
    }
    assertThat(rate.at(1000)).isEqualTo(expected.get("at_1000").getAsDouble());
    assertThat(rate.at(1999)).isEqualTo(expected.get("last_warmup").getAsDouble());
    for (JsonElement after : expected.getAsJsonArray("after")) {
      assertThat(rate.at(2000)).isEqualTo(after.getAsDouble());
    }
    assertThat(new WarmupLearningRate(1, 0).at(0)).isEqualTo(1);
  }

  private static int[] ints(JsonElement array) {
    return array.getAsJsonArray().asList().stream().mapToInt(JsonElement::getAsInt).toArray();
  }
}
