package dev.longalign.training;

/**
 * One step of training.
 *
 * @param step how many have been made, this one included
 * @param loss the mean over its micro-batches
 * @param gradientNorm before clipping
 * @param learningRate of this step
 * @param pictures in it
 * @param seconds it took, waiting for data included
 * @param peakBytes the most memory in use during it
 */
public record StepReport(
    long step,
    double loss,
    double gradientNorm,
    double learningRate,
    int pictures,
    double seconds,
    long peakBytes) {

  public double picturesPerSecond() {
    return pictures / seconds;
  }
}
