package dev.longalign.training;

import dev.longalign.LongAlignException;
import dev.longalign.io.Reasons;
import dev.longalign.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Refuses a step that is not finite, and keeps what went into it. */
final class FailedStep {
  private FailedStep() {}

  /**
   * @param step that is made, from 1
   * @param norm of the gradients
   * @throws LongAlignException if one of the two is not finite; the inputs are then in {@code
   *     failed-step-*} of the run
   */
  static void check(
      long step,
      double loss,
      double norm,
      Map<String, Tensor> gradients,
      List<StepInputs> inputs,
      Path run) {
    if (Double.isFinite(loss) && Double.isFinite(norm)) {
      return;
    }
    List<String> names = new ArrayList<>();
    gradients.forEach(
        (name, gradient) -> {
          if (!Double.isFinite(gradient.backend().training().sumOfSquares(gradient))) {
            names.add(name);
          }
        });
    Path directory = run.resolve("failed-step-" + step);
    try {
      Files.createDirectories(directory);
    } catch (IOException e) {
      throw new LongAlignException(directory + ": cannot be created (" + Reasons.of(e) + ")", e);
    }
    for (int i = 0; i < inputs.size(); i++) {
      inputs.get(i).write(directory.resolve("inputs-" + i + ".safetensors"));
    }
    throw new LongAlignException(
        "step "
            + step
            + ": expected a finite loss and gradient, found loss "
            + loss
            + " and gradient norm "
            + norm
            + (names.isEmpty() ? "" : " (first of " + names.size() + ": " + names.get(0) + ")")
            + "; what went into the step is in "
            + directory
            + ", the parameters are those of step "
            + (step - 1)
            + ": lower the learning rate, or look at the examples "
            + inputs.stream().flatMap(i -> i.ids().stream()).toList());
  }
}
