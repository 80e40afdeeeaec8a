package dev.longalign.scheduler;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.longalign.LongAlignException;
import dev.longalign.scheduler.SchedulerConfig.TimestepSpacing;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.ReferenceBackend;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class SchedulerTest {
  private final Backend backend = new ReferenceBackend();

  private Tensor latents(float... values) {
    return Tensor.of(backend, Shape.of(1, 1, 1, values.length), values);
  }

  /**
   * With a network that always sees one x0, every method ends there, however many steps it takes.
   */
  @ParameterizedTest
  @EnumSource(Scheduler.class)
  void endsAtWhatTheNetworkSees(Scheduler scheduler) {
    SchedulerConfig config =
        SchedulerConfig.of(
            json(
                "{'prediction_type': 'sample', 'beta_schedule': 'scaled_linear', 'clip_sample': false}"),
            scheduler);
    for (int steps = 1; steps <= 50; steps++) {
      try (TensorScope scope = TensorScope.open();
          SchedulerRun run = scheduler.start(config, steps)) {
        assertThat(run.steps()).isEqualTo(steps);
        Tensor x = latents(0.4f, -1.2f, 2f).scale(run.initNoiseSigma());
        Tensor seen = latents(0.5f, -0.25f, 0.125f);
        for (int i = 0; i < steps; i++) {
          x = run.step(i, seen, x, () -> latents(1, -1, 0.5f));
          for (float value : x.toFloats()) {
            assertThat(value).isFinite();
          }
        }
        assertThat(x.toFloats()[0])
            .as("%s, %d steps", scheduler, steps)
            .isCloseTo(0.5f, within(1e-5f));
        assertThat(x.toFloats()[2])
            .as("%s, %d steps", scheduler, steps)
            .isCloseTo(0.125f, within(1e-5f));
      }
    }
  }

  @ParameterizedTest
  @EnumSource(Scheduler.class)
  void timestepsFallForAllSpacings(Scheduler scheduler) {
    for (TimestepSpacing spacing : TimestepSpacing.values()) {
      SchedulerConfig config =
          SchedulerConfig.stableDiffusion(scheduler).withTimestepSpacing(spacing);
      for (int steps = 1; steps <= 50; steps++) {
        try (SchedulerRun run = scheduler.start(config, steps)) {
          float[] timesteps = run.timesteps();
          assertThat(timesteps).hasSize(steps);
          for (int i = 0; i < steps; i++) {
            assertThat(timesteps[i]).isBetween(0f, 999f);
            assertThat(i == 0 || timesteps[i] < timesteps[i - 1]).isTrue();
          }
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource(Scheduler.class)
  void refusesStepsOutOfRange(Scheduler scheduler) {
    SchedulerConfig config = SchedulerConfig.stableDiffusion(scheduler);
    for (int steps : new int[] {0, -1, 1001}) {
      assertThatThrownBy(() -> scheduler.start(config, steps))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("" + steps)
          .hasMessageContaining("1000");
    }
    for (double strength : new double[] {0, -1, 1.01, Double.NaN, 0.001}) {
      assertThatThrownBy(() -> scheduler.start(config, 20, strength))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("strength");
    }
  }

  @Test
  void refusesStepsThatCannotBeTold() {
    assertThatThrownBy(
            () -> Scheduler.UNIPC.start(SchedulerConfig.stableDiffusion(Scheduler.UNIPC), 1000))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("one noise level");
    assertThatThrownBy(
            () -> Scheduler.LCM.start(SchedulerConfig.stableDiffusion(Scheduler.LCM), 51))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("50");
    assertThatThrownBy(
            () -> Scheduler.DDIM.start(SchedulerConfig.stableDiffusion(Scheduler.DDIM), 1000))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("timestep 1000");
  }

  @Test
  void stepsAreTakenOnceAndInOrder() {
    try (TensorScope scope = TensorScope.open();
        SchedulerRun run =
            Scheduler.UNIPC.start(SchedulerConfig.stableDiffusion(Scheduler.UNIPC), 3)) {
      Tensor x = latents(1);
      assertThatThrownBy(() -> run.step(1, x, x, null))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("step 0");
      run.step(0, x, x, null);
      assertThatThrownBy(() -> run.step(0, x, x, null))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("step 1");
      assertThatThrownBy(() -> run.timestep(3))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("0 to 2");
    }
  }

  /**
   * The scope of a step may be closed; the run holds on to what it needs, and lets go of it when
   * closed.
   */
  @ParameterizedTest
  @EnumSource(
      value = Scheduler.class,
      names = {"UNIPC", "DPMPP_2M"})
  void remembersAcrossScopesAndFreesAll(Scheduler scheduler) {
    long before = backend.memory().live();
    float[] inOneScope;
    float[] inMany;
    SchedulerConfig config = SchedulerConfig.stableDiffusion(scheduler);
    try (TensorScope scope = TensorScope.open();
        SchedulerRun run = scheduler.start(config, 6)) {
      Tensor x = latents(1, -2);
      for (int i = 0; i < 6; i++) {
        x = run.step(i, x.scale(0.1f), x, null);
      }
      inOneScope = x.toFloats();
      assertThat(backend.memory().live()).isGreaterThan(before);
    }
    try (TensorScope outer = TensorScope.open();
        SchedulerRun run = scheduler.start(config, 6)) {
      TensorScope held = TensorScope.detached();
      Tensor x = held.adopt(latents(1, -2));
      for (int i = 0; i < 6; i++) {
        TensorScope nextHeld = TensorScope.detached();
        try (TensorScope scope = TensorScope.open()) {
          Tensor output = x.scale(0.1f);
          x = nextHeld.adopt(run.step(i, output, x, null));
        }
        held.close();
        held = nextHeld;
      }
      inMany = x.toFloats();
      held.close();
    }
    assertThat(inMany).isEqualTo(inOneScope);
    assertThat(backend.memory().live()).isEqualTo(before);
  }

  @Test
  void drawsNoiseOnlyWhereItIsAdded() {
    int[] expected = {
      0, 3, 0, 4, 0, 4, 0
    }; // in the order of the enum: LCM and DDPM as in their papers
    for (Scheduler scheduler : Scheduler.values()) {
      AtomicInteger draws = new AtomicInteger();
      try (TensorScope scope = TensorScope.open();
          SchedulerRun run = scheduler.start(SchedulerConfig.stableDiffusion(scheduler), 4)) {
        Tensor x = latents(1);
        for (int i = 0; i < 4; i++) {
          x =
              run.step(
                  i,
                  latents(0.1f),
                  x,
                  () -> {
                    draws.incrementAndGet();
                    return latents(0.5f);
                  });
        }
      }
      assertThat(draws.get()).as("%s", scheduler).isEqualTo(expected[scheduler.ordinal()]);
    }
  }

  @Test
  void outputsOfAnotherTypeAreCast() {
    try (TensorScope scope = TensorScope.open();
        SchedulerRun run =
            Scheduler.EULER.start(SchedulerConfig.stableDiffusion(Scheduler.EULER), 2)) {
      Tensor x = run.step(0, latents(0.5f).cast(DType.BF16), latents(3), null);
      assertThat(x.dtype()).isEqualTo(DType.F32);
    }
  }

  @Test
  void lcmSkipsAsTheDistilledModelDid() {
    SchedulerConfig config = SchedulerConfig.stableDiffusion(Scheduler.LCM);
    assertThat(Scheduler.LCM.start(config, 4).timesteps()).containsExactly(999, 759, 499, 259);
    assertThat(Scheduler.LCM.start(config, 4, 0.5).timesteps()).containsExactly(499, 379, 259, 139);
  }

  @Test
  void pureNoiseCannotBePredictedAsNoise() {
    JsonObject json = json("{'rescale_betas_zero_snr': true, 'timestep_spacing': 'trailing'}");
    for (Scheduler scheduler : new Scheduler[] {Scheduler.DDIM, Scheduler.DDPM}) {
      assertThatThrownBy(() -> scheduler.start(SchedulerConfig.of(json, scheduler), 5))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("v_prediction");
    }
  }

  @Test
  void readsFilesAndNamesWhatItCannotHonour(@TempDir Path dir) throws IOException {
    Path file = dir.resolve("scheduler_config.json");
    Files.writeString(
        file,
        "{\"_class_name\": \"PNDMScheduler\", \"beta_schedule\": \"scaled_linear\","
            + " \"prediction_type\": \"v_prediction\", \"trained_betas\": null, \"skip_prk_steps\": true}");
    SchedulerConfig config = SchedulerConfig.read(file, Scheduler.UNIPC);
    assertThat(config.predictionType()).isEqualTo(PredictionType.V_PREDICTION);
    assertThat(config.timestepSpacing()).isEqualTo(TimestepSpacing.LINSPACE);
    assertThat(SchedulerConfig.read(file, Scheduler.DDIM).timestepSpacing())
        .isEqualTo(TimestepSpacing.LEADING);
    assertThat(config.noise().betaStart()).isEqualTo(0.0001);
    assertThat(SchedulerConfig.read(file, Scheduler.LCM).noise().betaStart()).isEqualTo(0.00085);
    Files.writeString(file, "[1, 2");
    assertThatThrownBy(() -> SchedulerConfig.read(file, Scheduler.UNIPC))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining(file.toString());

    String[][] bad = {
      {"{'beta_schedule': 'sigmoid'}", "beta_schedule", "scaled_linear"},
      {"{'prediction_type': 'flow_prediction'}", "prediction_type", "v_prediction"},
      {"{'num_train_timesteps': 0}", "num_train_timesteps", "found 0"},
      {"{'num_train_timesteps': 'many'}", "num_train_timesteps", "many"},
      {"{'thresholding': true}", "thresholding", "not supported"},
      {"{'use_flow_sigmas': true}", "use_flow_sigmas", "not supported"},
      {"{'predict_x0': false}", "predict_x0", "not supported"},
      {"{'solver_order': 4}", "solver_order", "1 to 3"},
      {"{'solver_type': 'bh3'}", "solver_type", "bh3"},
      {"{'trained_betas': [0.1, 0.2]}", "trained_betas", "1000 numbers"},
      {"{'trained_betas': 'x'}", "trained_betas", "list"},
      {"{'beta_end': 2}", "beta_end", "2.0"},
      {"{'use_karras_sigmas': 3}", "use_karras_sigmas", "true or false"},
      {"{'final_sigmas_type': 'none'}", "final_sigmas_type", "sigma_min"},
      {"{'disable_corrector': {'a': 1}}", "disable_corrector", "list"},
    };
    for (String[] each : bad) {
      assertThatThrownBy(() -> SchedulerConfig.of(json(each[0]), Scheduler.UNIPC))
          .as(each[0])
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining(each[1])
          .hasMessageContaining(each[2]);
    }
    assertThatThrownBy(() -> config.withEta(2))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("eta");
  }

  private static JsonObject json(String text) {
    return JsonParser.parseString(text).getAsJsonObject();
  }
}
