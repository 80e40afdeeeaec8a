package dev.longalign.cli.verify;

import dev.longalign.training.TrainerSettings;
import java.util.List;

/**
 * The numbers of a training step that its file gives, as a value or in words; what it does not give
 * is as LongAlign trains.
 */
final class TrainingRecipe {
  private static final String NUMBER = "(\\d+(?:\\.\\d+)?(?:e[+-]?\\d+)?)";

  private final Vectors vectors;

  TrainingRecipe(Vectors vectors) {
    this.vectors = vectors;
  }

  /** With the learning rate that the words give, without warm-up. */
  TrainerSettings optimizer() {
    return optimizer(number("lr", "\\blr " + NUMBER, 3e-5));
  }

  TrainerSettings optimizer(double learningRate) {
    TrainerSettings d = TrainerSettings.DEFAULT.withLearningRate(learningRate, 0);
    return new TrainerSettings(
        d.learningRate(),
        maxGradientNorm(),
        number("weight_decay", "weight decay " + NUMBER, d.weightDecay()),
        d.accumulation(),
        d.seed(),
        d.saveEvery(),
        d.keepLast());
  }

  double maxGradientNorm() {
    return number(
        "max_grad_norm",
        "min\\(1, " + NUMBER + " / \\(norm",
        TrainerSettings.DEFAULT.maxGradientNorm());
  }

  /** c of the pseudo-Huber loss. */
  float huber() {
    return (float) number("huber_c", "\\+ " + NUMBER + "\\^2\\)", 1e-3);
  }

  float guidanceScale() {
    return (float) number("guidance", "\\bw = " + NUMBER, 7.5);
  }

  /** Timesteps between two DDIM steps of the teacher. */
  int stride() {
    return (int) number("stride", "max\\(start - " + NUMBER + ", 0\\)", 20);
  }

  /** How much of the text-irrelevant part of a preference stays. */
  double omega() {
    return number("omega", "\\bweight " + NUMBER, 0.3);
  }

  /** What dropout divides the kept values by. */
  float kept() {
    return (float) number("keep", "mask / " + NUMBER, 0.9);
  }

  /** The value of that key, else the first number that the words give, else the default. */
  private double number(String key, String regex, double otherwise) {
    if (vectors.hasValue(key) && vectors.value(key).isJsonPrimitive()) {
      return vectors.value(key).getAsDouble();
    }
    StringBuilder words = new StringBuilder(vectors.prose());
    for (String name : vectors.names()) {
      words.append('\n').append(vectors.meaning(name));
    }
    for (String name : vectors.values()) {
      words.append('\n').append(vectors.meaningOfValue(name));
    }
    List<String> found = Values.found(regex, words.toString());
    return found.isEmpty() ? otherwise : Double.parseDouble(found.get(0));
  }
}
