package dev.longalign.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.google.gson.JsonObject;
import dev.longalign.io.Config;
import dev.longalign.model.AutoencoderKL;
import dev.longalign.model.AutoencoderKLConfig;
import dev.longalign.nn.LayerDropout;
import dev.longalign.preference.PictureScorer;
import dev.longalign.preference.PreferenceModel;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.TensorScope;
import dev.longalign.tensor.Tolerance;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Stages 3 and 4 against the reference: from noise through the preference model and back. */
class RewardGoldenTest {
  private static final Logger LOG = LoggerFactory.getLogger(RewardGoldenTest.class);

  @ParameterizedTest
  @ValueSource(strings = {"reward", "reward_lcm"})
  void oneStep(String name) {
    Golden golden = Golden.open("reward/" + name);
    JsonObject values = golden.values();
    try (PreferenceModel denscore =
            PreferenceModel.open(TinyTraining.folder().resolve("denscore"), 1);
        TinyTraining tiny =
            new TinyTraining("unet_train", "lora_train_init.pt", LayerDropout.NONE, false, false);
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
      RewardObjective.Settings settings =
          name.equals("reward")
              ? RewardObjective.Settings.reward()
              : RewardObjective.Settings.rewardLcm();
      RewardObjective<Object> objective =
          new RewardObjective<>(
              tiny.autograd,
              tiny.unet,
              UnaryOperator.identity(),
              tiny.schedule,
              reward,
              null,
              settings);
      try (TensorScope scope = TensorScope.open()) {
        Loss loss = objective.loss(inputs(golden, tiny, reward));
        double expected = TinyTraining.number(golden, "loss");
        LOG.info("{}: loss {} for {}", name, loss.value(), expected);
        assertThat(loss.value()).isCloseTo(expected, within(1e-5));
        checkPicture(golden, loss);
        optimizer.add(loss.backward(tiny.autograd, 1));
      }
      double worst = GradientChecks.gradients(golden, optimizer.gradients());
      double norm = optimizer.norm();
      LOG.info("{}: gradients {}, norm {}", name, worst, norm);
      double expected = TinyTraining.number(golden, "grad_norm");
      assertThat(norm).isCloseTo(expected, within(1e-3 * expected));
      assertThat(values.has("scores")).isTrue();
    }
  }

  private static StepInputs inputs(Golden golden, TinyTraining tiny, PictureReward reward) {
    Golden stored = Golden.open("reward/reward");
    List<String> captions = new ArrayList<>();
    TinyTraining.value(golden.values(), "captions")
        .getAsJsonArray()
        .forEach(caption -> captions.add(caption.getAsString()));
    Map<String, dev.longalign.tensor.Tensor> tensors = new LinkedHashMap<>();
    tensors.put("noise", stored.nhwc(tiny.autograd, "noise_init"));
    tensors.put("context", stored.tensor(tiny.autograd, "context"));
    tensors.put("unconditional", stored.tensor(tiny.autograd, "unconditional"));
    tensors.put("texts", reward.texts(tiny.autograd, captions));
    for (int i = 0; golden.names().contains("step_noise") && i < 4; i++) {
      tensors.put("step_noise." + i, tiny.step(golden, "step_noise", i));
    }
    int offset =
        golden.values().has("bp_offset") ? (int) TinyTraining.number(golden, "bp_offset") : 0;
    return new StepInputs(
        List.of("golden"),
        tensors,
        Map.of(
            "offset",
            new int[] {offset},
            "crop",
            TinyTraining.ints(TinyTraining.value(golden.values(), "crop_offset"))));
  }

  /** Every eighth row and column of the clamped picture. */
  private static void checkPicture(Golden golden, Loss loss) {
    float[] picture = loss.result().toFloats();
    int side = loss.result().dim(1);
    float[] expected = Golden.toNhwc(golden.shape("image_sub"), golden.floats("image_sub"));
    float[] found = new float[expected.length];
    for (int i = 0; i < found.length; i++) {
      int c = i % 3;
      int x = i / 3 % 64;
      int y = i / 3 / 64 % 64;
      int b = i / 3 / 64 / 64;
      found[i] = picture[((b * side + 8 * y) * side + 8 * x) * 3 + c];
    }
    new Tolerance(2e-4, 1)
        .check("image_sub", Golden.nhwc(golden.shape("image_sub")), expected, found);
  }
}
