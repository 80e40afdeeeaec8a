package dev.longalign.training;

import dev.longalign.LongAlignException;
import dev.longalign.scheduler.WarmupLearningRate;

/**
 * How a {@link Trainer} optimises, averages, looks and saves.
 *
 * @param learningRate after how many steps of warm-up it is what
 * @param maxGradientNorm over all parameters together
 * @param weightDecay decoupled, of every parameter
 * @param accumulation micro-batches in a step
 * @param seed of everything that is drawn but the order of the data
 * @param saveEvery steps between checkpoints
 * @param keepLast how many checkpoints are kept
 * @param emaDecay of an exponential moving average of the parameters, for validation and export; 0:
 *     none. After n steps it is at most (1 + n) / (10 + n), so that the average soon forgets how
 *     training began
 * @param validateEvery steps between validations; 0: none
 * @param maxMemory bytes of native memory that the backend may take; 0: no limit. Java's heap and
 *     what other runtimes take (frozen text encoders) come on top
 */
public record TrainerSettings(
    WarmupLearningRate learningRate,
    double maxGradientNorm,
    double weightDecay,
    int accumulation,
    long seed,
    int saveEvery,
    int keepLast,
    double emaDecay,
    int validateEvery,
    long maxMemory) {
  /** Decays of AdamW's moments and its epsilon, which all stages share. */
  static final double BETA1 = 0.9;

  static final double BETA2 = 0.999;
  static final double EPS = 1e-8;

  /** What LongAlign trains with, on one device. */
  public static final TrainerSettings DEFAULT =
      new TrainerSettings(new WarmupLearningRate(3e-5, 2000), 0.3, 1e-2, 1, 0, 500, 3);

  public TrainerSettings {
    if (!(maxGradientNorm > 0) || !(weightDecay >= 0)) {
      throw new LongAlignException(
          "training: expected a positive largest gradient norm and a weight decay of at least 0,"
              + " found "
              + maxGradientNorm
              + " and "
              + weightDecay);
    }
    if (accumulation < 1 || saveEvery < 1 || keepLast < 1) {
      throw new LongAlignException(
          "training: expected accumulation, saveEvery and keepLast of at least 1, found "
              + accumulation
              + ", "
              + saveEvery
              + " and "
              + keepLast);
    }
    if (!(emaDecay >= 0 && emaDecay < 1) || validateEvery < 0 || maxMemory < 0) {
      throw new LongAlignException(
          "training: expected emaDecay in [0, 1), validateEvery and maxMemory of at least 0, found "
              + emaDecay
              + ", "
              + validateEvery
              + " and "
              + maxMemory);
    }
  }

  /** Without averages, validation and a limit of memory. */
  public TrainerSettings(
      WarmupLearningRate learningRate,
      double maxGradientNorm,
      double weightDecay,
      int accumulation,
      long seed,
      int saveEvery,
      int keepLast) {
    this(
        learningRate,
        maxGradientNorm,
        weightDecay,
        accumulation,
        seed,
        saveEvery,
        keepLast,
        0,
        0,
        0);
  }

  public TrainerSettings withLearningRate(double peak, int warmupSteps) {
    return new TrainerSettings(
        new WarmupLearningRate(peak, warmupSteps),
        maxGradientNorm,
        weightDecay,
        accumulation,
        seed,
        saveEvery,
        keepLast,
        emaDecay,
        validateEvery,
        maxMemory);
  }

  public TrainerSettings withLimits(double gradientNorm, double decay) {
    return new TrainerSettings(
        learningRate,
        gradientNorm,
        decay,
        accumulation,
        seed,
        saveEvery,
        keepLast,
        emaDecay,
        validateEvery,
        maxMemory);
  }

  public TrainerSettings withAccumulation(int microBatches) {
    return new TrainerSettings(
        learningRate,
        maxGradientNorm,
        weightDecay,
        microBatches,
        seed,
        saveEvery,
        keepLast,
        emaDecay,
        validateEvery,
        maxMemory);
  }

  public TrainerSettings withSeed(long newSeed) {
    return new TrainerSettings(
        learningRate,
        maxGradientNorm,
        weightDecay,
        accumulation,
        newSeed,
        saveEvery,
        keepLast,
        emaDecay,
        validateEvery,
        maxMemory);
  }

  public TrainerSettings withCheckpoints(int every, int keep) {
    return new TrainerSettings(
        learningRate,
        maxGradientNorm,
        weightDecay,
        accumulation,
        seed,
        every,
        keep,
        emaDecay,
        validateEvery,
        maxMemory);
  }

  public TrainerSettings withEma(double decay) {
    return new TrainerSettings(
        learningRate,
        maxGradientNorm,
        weightDecay,
        accumulation,
        seed,
        saveEvery,
        keepLast,
        decay,
        validateEvery,
        maxMemory);
  }

  public TrainerSettings withValidation(int every) {
    return new TrainerSettings(
        learningRate,
        maxGradientNorm,
        weightDecay,
        accumulation,
        seed,
        saveEvery,
        keepLast,
        emaDecay,
        every,
        maxMemory);
  }

  public TrainerSettings withMaxMemory(long bytes) {
    return new TrainerSettings(
        learningRate,
        maxGradientNorm,
        weightDecay,
        accumulation,
        seed,
        saveEvery,
        keepLast,
        emaDecay,
        validateEvery,
        bytes);
  }

  /** The decay of the average in a step, which counts from 0. */
  double emaDecay(long step) {
    double made = step + 1;
    return Math.min(emaDecay, (1 + made) / (10 + made));
  }
}
