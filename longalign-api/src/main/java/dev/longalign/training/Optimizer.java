package dev.longalign.training;

import dev.longalign.LongAlignException;
import dev.longalign.autograd.AutogradBackend;
import dev.longalign.autograd.Gradients;
import dev.longalign.io.StoredTensor;
import dev.longalign.model.TrainableParameter;
import dev.longalign.tensor.AdamW;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * AdamW over named parameters: sums the gradients of micro-batches, clips the sum, steps, and
 * averages the parameters if asked. A parameter that took no part in a step stays as it is, moments
 * included, as in torch.
 */
public final class Optimizer implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Optimizer.class);
  private static final String VALUE = "value:";
  private static final String FIRST = "first_moment:";
  private static final String SECOND = "second_moment:";
  private static final String AVERAGE = "average:";

  private final AutogradBackend autograd;
  private final TrainerSettings settings;
  private final Map<String, Slot> slots = new LinkedHashMap<>();
  private final TensorScope owner = TensorScope.detached();
  private final Map<String, Tensor> sums = new LinkedHashMap<>();
  private TensorScope sumsOwner = TensorScope.detached();

  /**
   * A parameter and what is kept beside it.
   *
   * @param average null without averages
   */
  private record Slot(TrainableParameter parameter, Tensor first, Tensor second, Tensor average) {

    /** What a checkpoint keeps, by prefix. */
    Map<String, Tensor> parts() {
      Map<String, Tensor> parts = new LinkedHashMap<>();
      parts.put(VALUE, parameter.value());
      parts.put(FIRST, first);
      parts.put(SECOND, second);
      if (average != null) {
        parts.put(AVERAGE, average);
      }
      return parts;
    }
  }

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
        Tensor average = averages() ? beside(p) : null;
        if (averages()) {
          assign(average, p.value().toFloats());
        }
        slots.put(p.name(), new Slot(p, beside(p), beside(p), average));
      }
    }
  }

  private Tensor beside(TrainableParameter p) {
    return owner.adopt(Tensor.zeros(autograd, DType.F32, p.value().shape()));
  }

  private boolean averages() {
    return settings.emaDecay() > 0;
  }

  // ---- a step

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
   * Changes the parameters and their averages, and forgets the sums.
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
    if (averages()) {
      double decay = settings.emaDecay(step);
      slots
          .values()
          .forEach(
              slot -> autograd.training().average(slot.average(), decay, slot.parameter().value()));
    }
    forget();
  }

  /** Forgets the sums. */
  public void forget() {
    sums.clear();
    sumsOwner.close();
    sumsOwner = TensorScope.detached();
  }

  /** Exchanges the parameters and their averages; without averages nothing happens. */
  void exchange() {
    if (averages()) {
      slots
          .values()
          .forEach(slot -> autograd.training().swap(slot.parameter().value(), slot.average()));
    }
  }

  /** Replaces values in place. */
  public void assign(Tensor into, float[] values) {
    try (TensorScope scope = TensorScope.open()) {
      autograd.training().swap(into, Tensor.of(autograd, into.shape(), values));
    }
  }

  // ---- checkpoints

  /** About how many bytes a checkpoint takes. */
  long bytes() {
    return slots.values().stream()
        .mapToLong(slot -> slot.parts().size() * slot.parameter().shape().size() * Float.BYTES)
        .sum();
  }

  /** Parameters, moments and averages. */
  List<StoredTensor> stored() {
    List<StoredTensor> tensors = new ArrayList<>();
    slots.forEach(
        (name, slot) ->
            slot.parts()
                .forEach(
                    (part, x) ->
                        tensors.add(
                            StoredTensor.ofFloats(
                                part + name, DType.F32, slot.parameter().shape(), x.toFloats()))));
    return tensors;
  }

  /**
   * Continues with what {@link #stored} gave. Averages that are not there begin with the
   * parameters; those that are not wanted are left out.
   *
   * @param source names the checkpoint in messages
   * @throws LongAlignException if they are of another model; nothing has been changed then
   */
  void restore(List<StoredTensor> stored, String source) {
    Map<String, StoredTensor> tensors = new TreeMap<>();
    stored.forEach(tensor -> tensors.put(tensor.name(), tensor));
    boolean haveAverages = tensors.keySet().stream().anyMatch(name -> name.startsWith(AVERAGE));
    int parts = haveAverages ? 4 : 3;
    if (tensors.size() != parts * slots.size()) {
      throw anotherModel(
          source, parts * slots.size() + " tensors", Integer.toString(tensors.size()));
    }
    slots.forEach(
        (name, slot) -> {
          for (String part : slot.parts().keySet()) {
            StoredTensor tensor = tensors.get(part + name);
            boolean missing = tensor == null && (haveAverages || !part.equals(AVERAGE));
            if (missing || tensor != null && !tensor.shape().equals(slot.parameter().shape())) {
              throw anotherModel(
                  source,
                  part + name + " " + slot.parameter().shape(),
                  missing ? "nothing" : tensor.shape().toString());
            }
          }
        });
    slots.forEach(
        (name, slot) ->
            slot.parts()
                .forEach(
                    (part, x) -> {
                      String from = part.equals(AVERAGE) && !haveAverages ? VALUE : part;
                      assign(x, tensors.get(from + name).toFloats());
                    }));
    if (averages() && !haveAverages) {
      LOG.warn("{} has no averages (emaDecay was 0): they begin with its parameters", source);
    } else if (haveAverages && !averages()) {
      LOG.warn("{} has averages, which end here because emaDecay is 0 now", source);
    }
  }

  private static LongAlignException anotherModel(String source, String expected, String found) {
    return new LongAlignException(
        source
            + ": a checkpoint of another model: expected "
            + expected
            + ", found "
            + found
            + "; train it with the base, rank and adapter it was begun with");
  }

  /** Frees moments and sums; the parameters stay. */
  @Override
  public void close() {
    forget();
    sumsOwner.close();
    owner.close();
  }
}
