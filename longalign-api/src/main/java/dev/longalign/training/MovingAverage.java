package dev.longalign.training;

/**
 * An exponential moving average without bias towards its start: {@code sum / weight}.
 *
 * @param decay of both in a step, in [0, 1)
 * @param sum of the values, each decayed by its age
 * @param weight of all values together; 0 before the first
 */
record MovingAverage(double decay, double sum, double weight) {

  /** Of nothing yet. */
  MovingAverage(double decay) {
    this(decay, 0, 0);
  }

  MovingAverage plus(double value) {
    return new MovingAverage(decay, decay * sum + value, decay * weight + 1);
  }

  double value() {
    return sum / weight;
  }
}
