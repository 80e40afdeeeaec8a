package dev.longalign.training;

import dev.longalign.tensor.MemoryUse;

/**
 * One step of training.
 *
 * @param step how many have been made, this one included
 * @param loss the mean over its micro-batches
 * @param smoothedLoss an exponential moving average over about fifty steps, which goes on where a
 *     resumed run was stopped
 * @param gradientNorm before clipping
 * @param learningRate of this step
 * @param pictures in it
 * @param seconds it took, waiting for data included
 * @param memory native memory of the backend: what is held after the step, and the most that was
 *     since this process began to train
 * @param secondsLeft until the last step, estimated from how long steps have taken lately, saving
 *     and validation included
 */
public record StepReport(
    long step,
    double loss,
    double smoothedLoss,
    double gradientNorm,
    double learningRate,
    int pictures,
    double seconds,
    MemoryUse memory,
    double secondsLeft) {

  public double picturesPerSecond() {
    return pictures / seconds;
  }

  /** Native memory that is taken from the operating system now, reserves included. */
  public long memoryBytes() {
    return memory.live() + memory.cached();
  }

  /** The most of {@link #memoryBytes} since this process began to train. */
  public long peakBytes() {
    return memory.peak();
  }
}
