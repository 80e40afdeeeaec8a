package dev.longalign.training;

import dev.longalign.autograd.AutogradBackend;
import dev.longalign.model.TrainableParameter;
import dev.longalign.nn.RandomDropout;
import java.util.List;

/** What a {@link Trainer} changes: named variables of one autograd backend. */
public interface Trainable {

  /** Records what the parameters lead to. */
  AutogradBackend autograd();

  /** All of them, in an order that stays the same; names are unique. */
  List<TrainableParameter> parameters();

  /** Whose state belongs to a checkpoint; null if nothing is dropped. */
  RandomDropout dropout();
}
