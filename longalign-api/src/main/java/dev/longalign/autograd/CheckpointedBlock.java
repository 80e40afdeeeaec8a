package dev.longalign.autograd;

import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.Deque;
import java.util.List;
import java.util.function.Function;

/** A part of a model of which only the inputs are kept; it runs again in the backward pass. */
final class CheckpointedBlock {
  private final AutogradBackend backend;
  private final Function<Tensor[], Tensor> forward;
  private final Argument[] arguments;
  private final long[] randomStates;

  /** An argument, alive beyond its scope: a view of a storage. */
  private record Argument(TapeStorage storage, long offset, Shape shape) {}

  CheckpointedBlock(
      AutogradBackend backend,
      Function<Tensor[], Tensor> forward,
      Tensor[] inputs,
      long[] randomStates) {
    this.backend = backend;
    this.forward = forward;
    this.randomStates = randomStates;
    arguments = new Argument[inputs.length];
    for (int i = 0; i < inputs.length; i++) {
      if (inputs[i] != null) {
        TapeStorage storage = TapeStorage.of(inputs[i]);
        Node node = storage.node();
        arguments[i] =
            new Argument(
                storage.with(node == null ? null : node.retain()),
                inputs[i].offset(),
                inputs[i].shape());
      }
    }
  }

  /** Runs the block again, recording, with the dropout masks of the first time. */
  Tensor run() {
    Tensor[] inputs = new Tensor[arguments.length];
    for (int i = 0; i < inputs.length; i++) {
      if (arguments[i] != null) {
        TapeStorage storage = arguments[i].storage;
        Node node = storage.node();
        TapeStorage again = storage.with(node == null ? null : node.retain());
        TensorScope.register(again);
        inputs[i] =
            new Tensor(backend, again, arguments[i].offset, storage.dtype(), arguments[i].shape);
      }
    }
    List<Replayable> replayables = backend.replayables();
    long[] now = backend.randomStates();
    for (int i = 0; i < randomStates.length; i++) {
      replayables.get(i).restore(randomStates[i]);
    }
    try {
      return forward.apply(inputs);
    } finally {
      for (int i = 0; i < now.length; i++) {
        replayables.get(i).restore(now[i]);
      }
    }
  }

  void release(Deque<Node> letGo) {
    for (Argument argument : arguments) {
      if (argument != null) {
        argument.storage.held().release();
        if (argument.storage.node() != null) {
          letGo.push(argument.storage.node());
        }
      }
    }
  }
}
