package dev.longalign.pipeline;

import dev.longalign.LongAlignException;
import dev.longalign.model.PreparedContext;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.scheduler.SchedulerRun;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorFunction;
import dev.longalign.tensor.TensorScope;
import java.util.Arrays;
import java.util.Locale;
import java.util.concurrent.locks.Lock;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The denoising loop: from noise to latents, with classifier-free guidance {@code u + g (c - u)}.
 * Many loops may share one UNet; they take turns, step by step.
 */
public final class Denoiser {

  /** Watches one loop, on the thread that runs it. */
  public interface Observer {
    Observer NONE = new Observer() {};

    /** Called before every step; what it throws ends the loop and frees its memory. */
    default void beforeStep(int step) {}

    /**
     * Called after every step.
     *
     * @param latents after the step, f32 [B, H, W, C]; keep nothing of it
     * @param original computes the picture's latents as the network sees them now; only valid
     *     during the call
     */
    default void afterStep(int step, float timestep, Tensor latents, Supplier<Tensor> original) {}
  }

  private static final Logger LOG = LoggerFactory.getLogger(Denoiser.class);

  private final UNet2DCondition unet;
  private final Lock turn;

  /**
   * @param turn held during a step, so that concurrent loops do not compete for cores and memory
   */
  public Denoiser(UNet2DCondition unet, Lock turn) {
    this.unet = unet;
    this.turn = turn;
  }

  public UNet2DCondition unet() {
    return unet;
  }

  /**
   * Takes all steps of the run.
   *
   * @param start latents as the first step wants them, f32 [B, H, W, C]
   * @param conditional context of the prompts, [B, S, D]
   * @param unconditional context to move away from, [B, S, D]; null for no guidance
   * @param guidanceScale g; without effect if unconditional is null and the network is not told it
   * @param noise draws N(0, 1) of the latents' shape for the steps that ask for it
   * @return the last latents, registered with the caller's scope
   * @throws LongAlignException after the step in which a latent stops being a number
   */
  public Tensor run(
      SchedulerRun run,
      Tensor start,
      Tensor conditional,
      Tensor unconditional,
      float guidanceScale,
      Supplier<Tensor> noise,
      Observer observer) {
    try (TensorScope loop = TensorScope.open()) {
      Tensor context =
          unconditional == null ? conditional : Tensor.concat(0, unconditional, conditional);
      PreparedContext prepared = inTurn(() -> unet.prepareContext(context));
      TensorFunction predict =
          unet.backend()
              .repeated(x -> predict(x[0], x[1], prepared, unconditional != null, guidanceScale));
      Tensor sinusoids =
          inTurn(() -> unet.guidedSinusoids(guidanceScale, timesteps(run, prepared.batch())));
      Tensor latents = start;
      for (int i = 0; i < run.steps(); i++) {
        observer.beforeStep(i);
        try (TensorScope step = TensorScope.open()) {
          int at = i;
          Tensor from = latents;
          latents =
              inTurn(
                  () -> {
                    long row = (long) at * prepared.batch();
                    Tensor output =
                        predict.apply(
                            run.scaleModelInput(from, at),
                            sinusoids.rows(row, row + prepared.batch()));
                    Tensor next = run.step(at, output, from, noise);
                    check(run, at, output, next);
                    observer.afterStep(
                        at, run.timestep(at), next, () -> run.predictedOriginal(at, output, from));
                    return next;
                  });
          step.keep(latents);
        }
      }
      return loop.keep(latents);
    }
  }

  /** Latents are few; what goes wrong in a step is said there, not after all of them. */
  private void check(SchedulerRun run, int step, Tensor output, Tensor latents) {
    int bad = 0;
    for (float value : latents.toFloats()) {
      bad += Float.isFinite(value) ? 0 : 1;
    }
    if (bad > 0) {
      throw new LongAlignException(
          String.format(
              Locale.ROOT,
              "after step %d of %d (timestep %s): expected finite latents, found %d of %d NaN or"
                  + " infinite, computed in %s; %s",
              step + 1,
              run.steps(),
              run.timestep(step),
              bad,
              latents.shape().size(),
              unet.dtype(),
              unet.dtype() == DType.F32
                  ? "the UNet's weights are damaged, or a LoRA or its scale does not suit them"
                  : "sample in f32"));
    }
    if (step == 0) {
      float[] values = output.toFloats();
      Arrays.sort(values);
      if (values[0] == values[values.length - 1]) {
        LOG.warn(
            "the UNet answers {} for every latent: its weights are zero or damaged, and the picture"
                + " shows nothing but noise",
            values[0]);
      }
    }
  }

  /** Of all steps, {@code batch} times each: one upload for the loop. */
  private static float[] timesteps(SchedulerRun run, int batch) {
    float[] timesteps = new float[run.steps() * batch];
    for (int i = 0; i < run.steps(); i++) {
      Arrays.fill(timesteps, i * batch, (i + 1) * batch, run.timestep(i));
    }
    return timesteps;
  }

  /** The same for every step but for the operands' values. */
  private Tensor predict(
      Tensor input,
      Tensor sinusoids,
      PreparedContext context,
      boolean guided,
      float guidanceScale) {
    if (!guided) {
      return unet.forward(input, sinusoids, context);
    }
    long batch = input.shape().dim(0);
    Tensor both = unet.forward(Tensor.concat(0, input, input), sinusoids, context);
    Tensor unconditional = both.rows(0, batch);
    Tensor conditional = both.rows(batch, 2 * batch);
    return Tensor.linearCombination(
        new float[] {1 - guidanceScale, guidanceScale}, unconditional, conditional);
  }

  private <T> T inTurn(Supplier<T> work) {
    try {
      turn.lockInterruptibly();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new LongAlignException("the sampling thread was interrupted", e);
    }
    try {
      return work.get();
    } finally {
      turn.unlock();
    }
  }
}
