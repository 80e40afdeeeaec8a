package dev.longalign.training;

import dev.longalign.autograd.AutogradBackend;
import dev.longalign.autograd.Gradients;
import dev.longalign.model.TrainableParameter;
import dev.longalign.tensor.AdamW;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * AdamW over named parameters: sums the gradients of micro-batches, clips the sum, steps. A
 * parameter that took no part in a step stays as it is, moments included, as in torch.
 */
public final class Optimizer implements AutoCloseable {
  private final AutogradBackend autograd;
  private final TrainerSettings settings;
  private final Map<String, Slot> slots = new LinkedHashMap<>();
  private final TensorScope owner = TensorScope.detached();
  private final Map<String, Tensor> sums = new LinkedHashMap<>();
  private TensorScope sumsOwner = TensorScope.detached();

  /** A parameter and its moments. */
  record Slot(TrainableParameter parameter, Tensor first, Tensor second) {}

  /**
   * @param parameters F32 variables of {@code autograd}
   * @param settings of which the learning rate, the largest gradient norm and the weight decay
   *     count
   */
  public Optimizer(
      AutogradBackend autograd, List<TrainableParameter> parameters, TrainerSettings settings) {
    this.autograd = autograd;
    this.settings = settings;
    try (TensorScope scope = TensorScope.open()) {
      for (TrainableParameter p : parameters) {
        Tensor first = owner.adopt(Tensor.zeros(autograd, DType.F32, p.value().shape()));
        Tensor second = owner.adopt(Tensor.zeros(autograd, DType.F32, p.value().shape()));
        slots.put(p.name(), new Slot(p, first, second));
      }
    }
  }

  /** By the parameters' names. */
  Map<String, Slot> slots() {
    return slots;
  }

  /** Adds the gradients of a micro-batch. */
  public void add(Gradients gradients) {
    slots.forEach(
        (name, slot) -> {
          Tensor value = slot.parameter().value();
          if (gradients.has(value)) {
            Tensor gradient = gradients.of(value);
            Tensor sum = sums.get(name);
            if (sum == null) {
              sums.put(name, sumsOwner.adopt(gradient));
            } else {
              autograd.training().accumulate(sum, 1, gradient);
            }
          }
        });
  }

  /** The sums so far, by the parameters' names. */
  public Map<String, Tensor> gradients() {
    return sums;
  }

  /** The norm of the sums together. */
  public double norm() {
    return AdamW.norm(sums.values());
  }

  /**
   * Changes the parameters and forgets the sums.
   *
   * @param norm of the sums, before clipping
   * @param step from 0
   */
  public void step(double norm, long step) {
    AdamW adamW =
        new AdamW(
            settings.learningRate().at(step),
            TrainerSettings.BETA1,
            TrainerSettings.BETA2,
            TrainerSettings.EPS,
            settings.weightDecay(),
            step + 1,
            AdamW.clipScale(norm, settings.maxGradientNorm()));
    sums.forEach(
        (name, sum) -> {
          Slot slot = slots.get(name);
          adamW.step(slot.parameter().value(), sum, slot.first(), slot.second());
        });
    forget();
  }

  /** Forgets the sums. */
  public void forget() {
    sums.clear();
    sumsOwner.close();
    sumsOwner = TensorScope.detached();
  }

  /** Replaces values in place. */
  public void assign(Tensor into, float[] values) {
    try (TensorScope scope = TensorScope.open()) {
      // x - x is NaN for what is not finite, which never is in a checkpoint.
      autograd.training().accumulate(into, -1, into);
      autograd.training().accumulate(into, 1, Tensor.of(autograd, into.shape(), values));
    }
  }

  /** Frees moments and sums; the parameters stay. */
  @Override
  public void close() {
    forget();
    sumsOwner.close();
    owner.close();
  }
}
