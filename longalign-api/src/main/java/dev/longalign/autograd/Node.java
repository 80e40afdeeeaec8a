package dev.longalign.autograd;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/**
 * A value that a gradient is wanted for: a variable, the result of an operation, or the result of a
 * checkpointed block. Nodes know what they came from, so a graph lives exactly as long as something
 * leads to it; what nothing leads to gives its memory back at once.
 */
final class Node {
  private static final AtomicLong NEXT = new AtomicLong();

  /** Later than every node that this one came from. */
  final long id = NEXT.incrementAndGet();

  final Shape shape;
  final DType dtype;
  final Derivative derivative;
  final CheckpointedBlock block;
  final Input[] inputs;
  private final Saved[] saved;
  private final AtomicInteger holders = new AtomicInteger(1);
  private boolean consumed;

  /** A part of a node's value: {@code shape} from the element at {@code offset}. */
  record Input(Node node, long offset, Shape shape) {}

  /** A value that a derivative needs. */
  record Saved(Held held, Tensor value) {}

  private Node(
      Shape shape,
      DType dtype,
      Derivative derivative,
      CheckpointedBlock block,
      Input[] inputs,
      Saved[] saved) {
    this.shape = shape;
    this.dtype = dtype;
    this.derivative = derivative;
    this.block = block;
    this.inputs = inputs;
    this.saved = saved;
    for (Input input : inputs) {
      if (input != null) {
        input.node.retain();
      }
    }
    for (Saved value : saved) {
      if (value != null) {
        value.held.retain();
      }
    }
  }

  static Node variable(Tensor value) {
    return new Node(value.shape(), value.dtype(), null, null, new Input[0], new Saved[0]);
  }

  /** Inputs and saved values that are null are left out. */
  static Node operation(Tensor result, Derivative derivative, Input[] inputs, Saved[] saved) {
    return new Node(result.shape(), result.dtype(), derivative, null, inputs, saved);
  }

  static Node checkpoint(Tensor result, CheckpointedBlock block) {
    return new Node(result.shape(), result.dtype(), null, block, new Input[0], new Saved[0]);
  }

  boolean isVariable() {
    return derivative == null && block == null;
  }

  Node retain() {
    holders.incrementAndGet();
    return this;
  }

  /** Lets go; without recursion, for graphs are thousands of nodes deep. */
  void release() {
    Deque<Node> letGo = new ArrayDeque<>();
    letGo.push(this);
    while (!letGo.isEmpty()) {
      Node node = letGo.pop();
      if (node.holders.decrementAndGet() == 0) {
        node.drop(letGo);
      }
    }
  }

  /** The kept values, in their order. */
  Tensor[] saved() {
    if (consumed) {
      throw new LongAlignException(
          "backward: this graph was gone through before and what it kept was freed;"
              + " run the forward pass again, or add up the losses first");
    }
    Tensor[] values = new Tensor[saved.length];
    for (int i = 0; i < values.length; i++) {
      values[i] = saved[i] == null ? null : saved[i].value;
    }
    return values;
  }

  /** Frees what was kept for the derivative, which has run. */
  void consume() {
    Deque<Node> letGo = new ArrayDeque<>();
    drop(letGo);
    letGo.forEach(Node::release);
  }

  private void drop(Deque<Node> letGo) {
    if (consumed) {
      return;
    }
    consumed = true;
    for (Saved value : saved) {
      if (value != null) {
        value.held.release();
      }
    }
    for (Input input : inputs) {
      if (input != null) {
        letGo.push(input.node);
      }
    }
    if (block != null) {
      block.release(letGo);
    }
  }
}
