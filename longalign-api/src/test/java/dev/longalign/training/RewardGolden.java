package dev.longalign.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.longalign.io.Config;
import dev.longalign.model.AutoencoderKL;
import dev.longalign.model.AutoencoderKLConfig;
import dev.longalign.preference.PictureScorer;
import dev.longalign.preference.PreferenceModel;
import dev.longalign.scheduler.PredictionType;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import dev.longalign.tensor.Tolerance;
import dev.longalign.tensor.cpu.CpuBackend;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Stages 3 and 4 against the reference: from noise through the preference model and back. */
final class RewardGolden {
  private static final Logger LOG = LoggerFactory.getLogger(RewardGolden.class);
  private static final Tolerance PICTURE = new Tolerance(2e-4, 1);

  private RewardGolden() {}

  /** What a step gave; the tensors live while it is looked at. */
  private record Step(
      double loss, Shape shape, float[] picture, Map<String, Tensor> gradients, double norm) {}

  /** Looks at a step. */
  private interface Check {
    void of(Step step);
  }

  /** The loss, the picture, every gradient and their norm; closes the backend. */
  static void oneStep(Backend backend, String name) {
    Golden golden = Golden.open("reward/" + name);
    step(
        backend,
        golden,
        settings(name),
        step -> {
          assertThat(step.loss).isCloseTo(TinyTraining.number(golden, "loss"), within(1e-5));
          checkPicture(golden, step);
          double worst = GradientChecks.gradients(golden, step.gradients);
          LOG.info("{}: loss {}, gradients {}, norm {}", name, step.loss, worst, step.norm);
          double expected = TinyTraining.number(golden, "grad_norm");
          assertThat(step.norm).isCloseTo(expected, within(1e-3 * expected));
        });
  }

  /** The same on latents of 4 x 4, against the CPU; closes the backend. */
  static void smallStep(Backend backend, String name) {
    Golden golden = Golden.open("reward/" + name);
    RewardObjective.Settings settings =
        name.equals("reward")
            ? new RewardObjective.Settings(
                name, PredictionType.EPSILON, 4, 2, 7.5f, false, 4, 4) // 50 steps: minutes
            : settings(name).withLatents(4, 4);
    step(
        new CpuBackend(1),
        golden,
        settings,
        expected ->
            step(
                backend,
                golden,
                settings,
                found -> {
                  assertThat(found.loss).isCloseTo(expected.loss, within(1e-5));
                  PICTURE.check("picture", expected.shape, expected.picture, found.picture);
                  assertThat(found.gradients.keySet()).isEqualTo(expected.gradients.keySet());
                  expected.gradients.forEach(
                      (parameter, gradient) ->
                          new Tolerance(1e-3, 0)
                              .check(parameter, gradient, found.gradients.get(parameter)));
                  assertThat(found.norm)
                      .isPositive()
                      .isCloseTo(expected.norm, within(1e-3 * expected.norm));
                  LOG.info("{}: loss {} for {}", name, found.loss, expected.loss);
                }));
  }

  /** The first picture's latents after the first step of sampling; closes the backend. */
  static void firstSampling(Backend backend, String name) {
    Golden golden = Golden.open("reward/" + name);
    String latents = "x_after_0";
    Shape all = golden.shape(latents);
    Shape one = Shape.of(1, all.dim(2), all.dim(3), all.dim(1));
    float[] both = Golden.toNhwc(all, golden.floats(latents));
    float[] expected = Arrays.copyOf(both, Math.toIntExact(one.size()));
    Trace trace =
        (traced, value) -> {
          assertThat(traced).isEqualTo(latents);
          Tolerance.F32.check(latents, one, expected, value);
          throw new Enough();
        };
    try (TinyTraining tiny = TinyTraining.reward(backend);
        TensorScope scope = TensorScope.open()) {
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      tensors(golden, tiny, settings(name))
          .forEach((tensor, value) -> tensors.put(tensor, value.rows(0, 1)));
      StepInputs inputs =
          new StepInputs(List.of("golden"), tensors, Map.of("offset", new int[] {0}));
      assertThatThrownBy(() -> objective(tiny, null, settings(name)).loss(inputs, trace))
          .isInstanceOf(Enough.class);
    }
  }

  private static RewardObjective.Settings settings(String name) {
    return name.equals("reward")
        ? RewardObjective.Settings.reward()
        : RewardObjective.Settings.rewardLcm();
  }

  private static RewardObjective<Object> objective(
      TinyTraining tiny, PictureReward reward, RewardObjective.Settings settings) {
    return new RewardObjective<>(
        tiny.autograd, tiny.unet, UnaryOperator.identity(), tiny.schedule, reward, null, settings);
  }

  private static void step(
      Backend backend, Golden golden, RewardObjective.Settings settings, Check check) {
    try (PreferenceModel denscore =
            PreferenceModel.open(TinyTraining.folder().resolve("denscore"), 1);
        TinyTraining tiny = TinyTraining.reward(backend);
        AutoencoderKL vae =
            AutoencoderKL.load(
                AutoencoderKLConfig.of(
                    Config.read(TinyTraining.folder().resolve("vae/config.json"))),
                TinyTraining.weights("vae"),
                tiny.autograd,
                DType.F32);
        Optimizer optimizer =
            new Optimizer(tiny.autograd, tiny.model.parameters(), TrainerSettings.DEFAULT)) {
      PictureReward reward = new PictureReward(vae, PictureScorer.denscore(denscore), null, 0.3);
      double value;
      Shape shape;
      float[] picture;
      try (TensorScope scope = TensorScope.open()) {
        Loss loss = objective(tiny, reward, settings).loss(inputs(golden, tiny, reward, settings));
        value = loss.value();
        shape = loss.result().shape();
        picture = loss.result().toFloats();
        optimizer.add(loss.backward(tiny.autograd, 1));
      }
      check.of(new Step(value, shape, picture, optimizer.gradients(), optimizer.norm()));
    }
  }

  private static StepInputs inputs(
      Golden golden, TinyTraining tiny, PictureReward reward, RewardObjective.Settings settings) {
    List<String> captions = new ArrayList<>();
    TinyTraining.value(golden.values(), "captions")
        .getAsJsonArray()
        .forEach(caption -> captions.add(caption.getAsString()));
    Map<String, Tensor> tensors = tensors(golden, tiny, settings);
    tensors.put("texts", reward.texts(tiny.autograd, captions));
    int offset =
        golden.values().has("bp_offset") ? (int) TinyTraining.number(golden, "bp_offset") : 0;
    boolean whole = settings.height() == golden.shape("x_after_0").intDim(2);
    int[] crop = TinyTraining.ints(TinyTraining.value(golden.values(), "crop_offset"));
    return new StepInputs(
        List.of("golden"),
        tensors,
        Map.of(
            "offset",
            new int[] {offset % settings.every()},
            "crop",
            whole ? crop : new int[2])); // a picture smaller than the model's is not cropped
  }

  /** Noise and contexts; of smaller latents, the noise of the corner. */
  private static Map<String, Tensor> tensors(
      Golden golden, TinyTraining tiny, RewardObjective.Settings settings) {
    Golden stored = Golden.open("reward/reward");
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    tensors.put("noise", corner(stored.nhwc(tiny.autograd, "noise_init"), settings));
    tensors.put("context", stored.tensor(tiny.autograd, "context"));
    tensors.put("unconditional", stored.tensor(tiny.autograd, "unconditional"));
    for (int i = 0; golden.names().contains("step_noise") && i < 4; i++) {
      tensors.put("step_noise." + i, corner(tiny.step(golden, "step_noise", i), settings));
    }
    return tensors;
  }

  private static Tensor corner(Tensor latents, RewardObjective.Settings settings) {
    return latents.slice(1, 0, settings.height()).slice(2, 0, settings.width());
  }

  /** Every eighth row and column of the clamped picture. */
  private static void checkPicture(Golden golden, Step step) {
    int side = step.shape.intDim(1);
    float[] expected = Golden.toNhwc(golden.shape("image_sub"), golden.floats("image_sub"));
    float[] found = new float[expected.length];
    for (int i = 0; i < found.length; i++) {
      int c = i % 3;
      int x = i / 3 % 64;
      int y = i / 3 / 64 % 64;
      int b = i / 3 / 64 / 64;
      found[i] = step.picture[((b * side + 8 * y) * side + 8 * x) * 3 + c];
    }
    PICTURE.check("image_sub", Golden.nhwc(golden.shape("image_sub")), expected, found);
  }

  private static final class Enough extends RuntimeException {
    private static final long serialVersionUID = 1;
  }
}
