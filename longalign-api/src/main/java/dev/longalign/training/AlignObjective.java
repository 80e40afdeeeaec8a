package dev.longalign.training;

import dev.longalign.LongAlignException;
import dev.longalign.model.PreparedContext;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.random.RandomTensors;
import dev.longalign.random.TorchGenerator;
import dev.longalign.scheduler.NoiseSchedule;
import dev.longalign.scheduler.PredictionType;
import dev.longalign.tensor.Tensor;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

/**
 * Stage 1: the UNet learns to read the context of long captions (LongAlign, section 3.1; {@code
 * train_unet.py} of the published code). The target is what the network predicts: the noise, the
 * velocity or the clean latents (the published code knows only the noise).
 *
 * <p>Inputs: {@code latents} and {@code noise} [B, h, w, C], {@code clip} [B, L, D], {@code t5} [B,
 * L, d], integers {@code timesteps} [B]. Traced: {@code noisy}, {@code predicted} and {@code target}
 * [B, h, w, C].
 *
 * @param <E> an example of the dataset
 */
public final class AlignObjective<E> implements Objective<E> {
  private final UNet2DCondition unet;
  private final UnaryOperator<Tensor> adapter;
  private final NoiseSchedule schedule;
  private final ExampleEncoder<E> encoder;
  private final Settings settings;

  /**
   * @param predictionType what the network outputs
   * @param captionDropout the share of captions that are replaced by the empty one
   * @param huber c of the pseudo-Huber loss; 0 for the mean squared error
   */
  public record Settings(PredictionType predictionType, double captionDropout, float huber) {
    /** What LongAlign trains with. */
    public static final Settings DEFAULT = new Settings(0.1, 0);

    /** Of a network that predicts the noise. */
    public Settings(double captionDropout, float huber) {
      this(PredictionType.EPSILON, captionDropout, huber);
    }

    /** The same for a network that outputs something else. */
    public Settings withPrediction(PredictionType type) {
      return new Settings(type, captionDropout, huber);
    }

    public Settings {
      if (!(captionDropout >= 0 && captionDropout <= 1) || !(huber >= 0)) {
        throw new LongAlignException(
            "align: expected a caption dropout in [0, 1] and a Huber constant of at least 0, found "
                + captionDropout
                + " and "
                + huber);
      }
    }
  }

  /**
   * @param unet loaded on the autograd backend, with the LoRA in training beside its layers
   * @param adapter from T5's hidden states to the context's width, in training or frozen
   * @param encoder may be null if only {@link #loss} is called
   */
  public AlignObjective(
      UNet2DCondition unet,
      UnaryOperator<Tensor> adapter,
      NoiseSchedule schedule,
      ExampleEncoder<E> encoder,
      Settings settings) {
    this.unet = unet;
    this.adapter = adapter;
    this.schedule = schedule;
    this.encoder = encoder;
    this.settings = settings;
  }

  @Override
  public String stage() {
    return "align";
  }

  @Override
  public StepInputs prepare(List<E> examples, TorchGenerator random) {
    int batch = examples.size();
    Tensor latents = encoder.latents(examples, random);
    Tensor noise = RandomTensors.randn(unet.backend(), random, latents.shape());
    int[] timesteps = Draws.timesteps(random, 0, schedule.size(), batch);
    boolean[] dropped = new boolean[batch];
    float[] uniform = random.rand(batch);
    for (int b = 0; b < batch; b++) {
      dropped[b] = uniform[b] < settings.captionDropout;
    }
    ExampleEncoder.Texts texts = encoder.texts(examples);
    ExampleEncoder.Texts empty = encoder.emptyText();
    return new StepInputs(
        encoder.ids(examples),
        Map.of(
            "latents",
            latents,
            "noise",
            noise,
            "clip",
            Draws.replaceRows(texts.clip(), dropped, empty.clip()),
            "t5",
            Draws.replaceRows(texts.t5(), dropped, empty.t5())),
        Map.of("timesteps", timesteps));
  }

  @Override
  public Loss loss(StepInputs inputs) {
    return loss(inputs, Trace.NONE);
  }

  @Override
  public Loss loss(StepInputs inputs, Trace trace) {
    Tensor predicted = predict(inputs, trace); // [B, h, w, C]
    Tensor target = target(inputs); // [B, h, w, C]
    trace.value("target", target);
    return Loss.of(
        settings.huber == 0
            ? predicted.meanSquaredError(target)
            : Draws.difference(predicted, target).pseudoHuber(settings.huber).mean());
  }

  private Tensor target(StepInputs inputs) {
    Tensor latents = inputs.tensor("latents");
    Tensor noise = inputs.tensor("noise");
    return switch (settings.predictionType) {
      case EPSILON -> noise;
      case V_PREDICTION -> schedule.velocity(latents, noise, inputs.integers("timesteps"));
      case SAMPLE -> latents;
    };
  }

  private Tensor predict(StepInputs inputs, Trace trace) {
    int[] timesteps = inputs.integers("timesteps");
    Tensor noisy = schedule.addNoise(inputs.tensor("latents"), inputs.tensor("noise"), timesteps);
    trace.value("noisy", noisy);
    Tensor text = adapter.apply(inputs.tensor("t5")); // [B, L, D]
    PreparedContext context =
        unet.prepareContext(Tensor.concat(1, inputs.tensor("clip"), text)); // [B, 2 L, D]
    Tensor predicted = unet.forward(noisy, Draws.floats(timesteps), context);
    trace.value("predicted", predicted);
    return predicted;
  }
}
