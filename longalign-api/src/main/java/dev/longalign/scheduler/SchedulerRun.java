package dev.longalign.scheduler;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.Arrays;
import java.util.function.Supplier;

/**
 * One walk from noise to latents; made by {@link Scheduler#start}. Steps are numbered from 0 and
 * taken in order. Latents are f32 of any shape; network outputs of other types are cast.
 *
 * <p>Results belong to the caller's open {@link TensorScope}. What a multistep method remembers of
 * earlier steps is copied or moved into scopes of the run, so the caller may close the scope of a
 * step as soon as it has kept the result; {@link #close} frees what is remembered. Not thread-safe.
 */
public abstract class SchedulerRun implements AutoCloseable {
  private final float[] timesteps;
  private final int first;
  private int next;

  /**
   * @param first the number of leading steps that are left out
   */
  SchedulerRun(float[] timesteps, int first) {
    this.timesteps = timesteps;
    this.first = first;
  }

  /** The number of steps to take. */
  public final int steps() {
    return timesteps.length - first;
  }

  /** What the network is told in step i; whole numbers except with the Euler methods. */
  public final float timestep(int i) {
    return timesteps[absolute(i)];
  }

  /** All of {@link #timestep}. */
  public final float[] timesteps() {
    return Arrays.copyOfRange(timesteps, first, timesteps.length);
  }

  /** Pure noise of N(0, 1) times this is what the first step starts from. */
  public float initNoiseSigma() {
    return 1;
  }

  /** What the network gets to see of the latents in step i. */
  public final Tensor scaleModelInput(Tensor x, int i) {
    double factor = inputScale(absolute(i));
    return factor == 1 ? x : x.scale((float) factor);
  }

  /**
   * Takes step i.
   *
   * @param output the network's output, after guidance
   * @param x the latents that the step starts from (not scaled)
   * @param noise draws N(0, 1) of the shape of x; asked only by steps that add noise, once
   * @return the latents after the step
   */
  public final Tensor step(int i, Tensor output, Tensor x, Supplier<Tensor> noise) {
    int k = absolute(i);
    if (i != next) {
      throw new LongAlignException(
          "scheduler step: expected step "
              + next
              + " next, found "
              + i
              + "; a run goes through its steps once and in order");
    }
    try (TensorScope scope = TensorScope.open()) {
      Tensor result = scope.keep(advance(k, output.cast(x.dtype()), x, noise));
      next++;
      return result;
    }
  }

  /** The picture (x0) that the network sees in step i, for previews. */
  public final Tensor predictedOriginal(int i, Tensor output, Tensor x) {
    int k = absolute(i);
    try (TensorScope scope = TensorScope.open()) {
      return scope.keep(original(k, output.cast(x.dtype()), x));
    }
  }

  /**
   * Clean latents with as much noise as step i starts from; that of step 0 begins image-to-image.
   */
  public final Tensor addNoise(Tensor x0, Tensor noise, int i) {
    PredictionType.Mix mix = noising(absolute(i));
    return Combination.of(new double[] {mix.sample(), mix.output()}, x0, noise);
  }

  /** Frees what the run remembers. */
  @Override
  public void close() {}

  // ---- k counts from the first timestep, also when the run starts later

  /** The factor on the latents before the network. */
  double inputScale(int k) {
    return 1;
  }

  abstract Tensor advance(int k, Tensor output, Tensor x, Supplier<Tensor> noise);

  abstract Tensor original(int k, Tensor output, Tensor x);

  /** Factors of x0 (sample) and noise (output). */
  abstract PredictionType.Mix noising(int k);

  final int first() {
    return first;
  }

  final int total() {
    return timesteps.length;
  }

  private int absolute(int i) {
    if (i < 0 || i >= steps()) {
      throw new LongAlignException(
          "scheduler step: expected 0 to " + (steps() - 1) + ", found " + i);
    }
    return first + i;
  }
}
