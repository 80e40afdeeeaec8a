package dev.longalign.training;

import dev.longalign.LongAlignException;
import dev.longalign.autograd.AutogradBackend;
import dev.longalign.model.PreparedContext;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.random.RandomTensors;
import dev.longalign.random.TorchGenerator;
import dev.longalign.scheduler.DdimSolver;
import dev.longalign.scheduler.NoiseSchedule;
import dev.longalign.scheduler.PredictionType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

/**
 * Stages 3 and 4: the whole sampling is differentiated, so that the picture at its end pleases a
 * preference model ({@code train_unet_reward.py} and {@code train_unet_reward_lcm.py} of the
 * published code). The UNet sees detached latents; the gradient flows along the latents outside of
 * it. Stage 3 guides 50 DDIM steps and differentiates every tenth, from a drawn offset on; stage 4
 * takes four steps with fresh noise between them and differentiates all.
 *
 * <p>Inputs: {@code noise} [B, h, w, C], {@code context} and, if guided, {@code unconditional} [B,
 * S, D], {@code texts} [B, width] (T'), integers {@code crop} (top, left), {@code offset} of the
 * first differentiated step; for stage 4 {@code step_noise.0} and so on [B, h, w, C]. Traced: the
 * latents {@code x_after_0} and so on after each step, and {@code final_x0}, which is decoded, [B,
 * h, w, C].
 *
 * @param <E> an example of the dataset
 */
public final class RewardObjective<E> implements Objective<E> {
  private final AutogradBackend autograd;
  private final UNet2DCondition unet;
  private final UnaryOperator<Tensor> adapter;
  private final NoiseSchedule schedule;
  private final DdimSolver solver;
  private final PictureReward reward;
  private final ExampleEncoder<E> encoder;
  private final Settings settings;

  /**
   * @param stage names it
   * @param predictionType what the network outputs
   * @param steps of sampling
   * @param every how many steps one is differentiated
   * @param guidanceScale 1 runs the conditional part only
   * @param freshNoise whether steps go to fresh noise, as consistency models do
   * @param height of the latents
   * @param width of the latents
   */
  public record Settings(
      String stage,
      PredictionType predictionType,
      int steps,
      int every,
      float guidanceScale,
      boolean freshNoise,
      int height,
      int width) {
    public Settings {
      if (steps < 1 || every < 1 || every > steps || height < 1 || width < 1) {
        throw new LongAlignException(
            stage
                + ": expected at least one step, one of 1 to "
                + steps
                + " differentiated and latents of at least one pixel, found every "
                + every
                + " and "
                + height
                + " x "
                + width);
      }
    }

    /** Stage 3 as LongAlign trains it, on pictures of 512 x 512. */
    public static Settings reward() {
      return new Settings("reward", PredictionType.EPSILON, 50, 10, 7.5f, false, 64, 64);
    }

    /** Stage 4 as LongAlign trains it, on pictures of 512 x 512. */
    public static Settings rewardLcm() {
      return new Settings("reward-lcm", PredictionType.EPSILON, 4, 1, 1, true, 64, 64);
    }

    /** The same for latents of another size. */
    public Settings withLatents(int newHeight, int newWidth) {
      return new Settings(
          stage, predictionType, steps, every, guidanceScale, freshNoise, newHeight, newWidth);
    }

    /** The same for a network that outputs something else. */
    public Settings withPrediction(PredictionType type) {
      return new Settings(stage, type, steps, every, guidanceScale, freshNoise, height, width);
    }

    private boolean guided() {
      return guidanceScale != 1;
    }
  }

  /**
   * @param unet loaded on {@code autograd}, with the LoRA in training beside its layers
   * @param adapter frozen, from T5's hidden states to the context's width
   * @param encoder may be null if only {@link #loss} is called
   */
  public RewardObjective(
      AutogradBackend autograd,
      UNet2DCondition unet,
      UnaryOperator<Tensor> adapter,
      NoiseSchedule schedule,
      PictureReward reward,
      ExampleEncoder<E> encoder,
      Settings settings) {
    this.autograd = autograd;
    this.unet = unet;
    this.adapter = adapter;
    this.schedule = schedule;
    this.solver = new DdimSolver(schedule, settings.steps);
    this.reward = reward;
    this.encoder = encoder;
    this.settings = settings;
  }

  @Override
  public String stage() {
    return settings.stage;
  }

  @Override
  public StepInputs prepare(List<E> examples, TorchGenerator random) {
    int batch = examples.size();
    Shape shape = Shape.of(batch, settings.height, settings.width, unet.config().inChannels());
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    tensors.put("noise", RandomTensors.randn(unet.backend(), random, shape));
    for (int i = 0; settings.freshNoise && i < settings.steps; i++) {
      tensors.put(stepNoise(i), RandomTensors.randn(unet.backend(), random, shape));
    }
    int[] offset = Draws.timesteps(random, 0, settings.every, 1);
    int[] crop = reward.crop(random, shape);
    tensors.put("context", Draws.context(encoder.texts(examples), adapter));
    if (settings.guided()) {
      Tensor empty = Draws.context(encoder.emptyText(), adapter);
      tensors.put("unconditional", Draws.repeatRow(empty, batch));
    }
    tensors.put("texts", reward.texts(unet.backend(), encoder.captions(examples)));
    return new StepInputs(encoder.ids(examples), tensors, Map.of("offset", offset, "crop", crop));
  }

  private static String stepNoise(int step) {
    return "step_noise." + step;
  }

  @Override
  public Loss loss(StepInputs inputs) {
    return loss(inputs, Trace.NONE);
  }

  @Override
  public Loss loss(StepInputs inputs, Trace trace) {
    PreparedContext context = unet.prepareContext(inputs.tensor("context"));
    PreparedContext unconditional =
        settings.guided() ? unet.prepareContext(inputs.tensor("unconditional")) : null;
    int offset = inputs.integers("offset")[0];
    Tensor x = inputs.tensor("noise"); // [B, h, w, C]
    Tensor x0 = x;
    int[] timesteps = solver.timesteps();
    for (int i = 0; i < timesteps.length; i++) {
      int t = timesteps[i];
      Tensor output = output(x, t, i % settings.every == offset, context, unconditional);
      x0 = schedule.predictedOriginal(settings.predictionType, output, x, t);
      // The published code puts the raw output in the noise's place, for v-prediction too.
      Tensor noise = settings.freshNoise ? inputs.tensor(stepNoise(i)) : output;
      x = solver.step(x0, noise, t);
      trace.value("x_after_" + i, x);
    }
    trace.value("final_x0", x0);
    return reward.loss(x0, inputs.tensor("texts"), inputs.integers("crop"));
  }

  private Tensor output(
      Tensor x, int t, boolean differentiated, PreparedContext context, PreparedContext empty) {
    if (differentiated) {
      return guided(autograd.detach(x), t, context, empty);
    }
    try (AutogradBackend.NoGradient off = autograd.noGradient()) {
      return guided(x, t, context, empty);
    }
  }

  private Tensor guided(Tensor x, int t, PreparedContext context, PreparedContext empty) {
    Tensor conditional = unet.forward(x, t, context);
    return empty == null
        ? conditional
        : Draws.guided(conditional, unet.forward(x, t, empty), settings.guidanceScale);
  }
}
