package dev.longalign.training;

import dev.longalign.random.TorchGenerator;
import java.util.List;

/**
 * What a stage of training minimises.
 *
 * @param <E> an example of the dataset
 */
public interface Objective<E> {

  /** The name of the stage, which a checkpoint keeps: {@code align}, {@code lcm}, ... */
  String stage();

  /**
   * Encodes examples and draws everything random but dropout masks. Runs without gradients; the
   * tensors belong to the scope that is open.
   *
   * @param random is drawn from in a fixed order
   */
  StepInputs prepare(List<E> examples, TorchGenerator random);

  /**
   * The loss of a micro-batch: a function of the inputs, the parameters and the dropout masks only.
   * Everything belongs to the scope that is open, which stays open until the backward pass is over.
   *
   * @throws dev.longalign.LongAlignException if an input is missing or has another shape
   */
  Loss loss(StepInputs inputs);

  /** The same, telling what it computes on the way; by default nothing. */
  default Loss loss(StepInputs inputs, Trace trace) {
    return loss(inputs);
  }
}
