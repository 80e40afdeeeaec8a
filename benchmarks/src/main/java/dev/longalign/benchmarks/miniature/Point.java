package dev.longalign.benchmarks.miniature;

import dev.longalign.evaluation.Evaluation;

/**
 * One measurement.
 *
 * @param model which of the experiment's models
 * @param step after how many steps of training
 * @param right objects whose shape and colour are right in the right cell
 * @param seconds that sampling and evaluating took
 */
record Point(
    String model, long step, Setting setting, long right, Evaluation evaluation, double seconds) {

  boolean isOf(String otherModel, long otherStep, Setting otherSetting) {
    return model.equals(otherModel) && step == otherStep && setting.equals(otherSetting);
  }

  /** The share of objects that are right. */
  double accuracy() {
    return evaluation.alignment().align();
  }
}
