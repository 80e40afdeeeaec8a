package dev.longalign.autograd;

import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Map;
import java.util.PriorityQueue;

/**
 * One walk from a result to the variables, latest node first. A gradient is complete when its node
 * is reached, because everything made from that node is later; it is freed as soon as it has been
 * passed on, and so is what the node kept.
 */
final class BackwardPass implements AutoCloseable {
  private final Backend inner;
  private final PriorityQueue<Node> reached =
      new PriorityQueue<>(Comparator.comparingLong((Node node) -> -node.id));
  private final Map<Node, Sum> sums = new HashMap<>();
  private final Map<Node, Sum> variables = new HashMap<>();

  /** A gradient so far, flat. */
  private record Sum(Held held, Tensor flat) {}

  BackwardPass(Backend inner) {
    this.inner = inner;
  }

  /** Adds to the gradient of (a part of) a node; {@code part} may lie in {@code source}. */
  void add(Node.Input to, Tensor part, Held source) {
    Node node = to.node();
    long size = to.shape().size();
    Tensor flat = part.cast(node.dtype).reshape(size);
    Sum sum = sums.get(node);
    if (sum == null) {
      reached.add(node.retain());
      if (size == node.shape.size()) {
        boolean shared = source != null && flat.storage() == source.tensor().storage();
        sums.put(node, new Sum(shared ? source.retain() : Held.of(flat), flat));
        return;
      }
      Tensor zeros = inner.zeros(node.dtype, Shape.of(node.shape.size()));
      sum = new Sum(Held.of(zeros), zeros);
      sums.put(node, sum);
    } else if (!sum.held.isExclusive()) {
      Tensor copy = sum.flat.scale(1);
      sum.held.release();
      sum = new Sum(Held.of(copy), copy);
      sums.put(node, sum);
    }
    inner.training().accumulate(sum.flat.rows(to.offset(), to.offset() + size), 1, flat);
  }

  void run() {
    while (!reached.isEmpty()) {
      Node node = reached.poll();
      Sum sum = sums.remove(node);
      if (node.isVariable()) {
        variables.put(node, sum);
        continue;
      }
      try (TensorScope scope = TensorScope.open()) {
        pass(node, sum.flat.reshape(node.shape.toArray()), sum.held);
      } finally {
        sum.held.release();
        node.release();
      }
    }
  }

  private void pass(Node node, Tensor dy, Held source) {
    if (node.block != null) {
      node.saved();
      Tensor again = node.block.run();
      Node result = TapeStorage.of(again).node();
      if (result != null) {
        add(new Node.Input(result, again.offset(), again.shape()), dy, source);
      }
      node.consume();
      return;
    }
    boolean[] wanted = new boolean[node.inputs.length];
    for (int i = 0; i < wanted.length; i++) {
      wanted[i] = node.inputs[i] != null;
    }
    Tensor[] parts = node.derivative.apply(dy, wanted, node.saved());
    for (int i = 0; i < wanted.length; i++) {
      if (wanted[i]) {
        add(node.inputs[i], parts[i], source);
      }
    }
    node.consume();
  }

  /** The gradients of the variables as tensors of {@code backend}, in the current scope. */
  Gradients results(AutogradBackend backend) {
    Map<Node, Tensor> gradients = new HashMap<>();
    variables.forEach(
        (node, sum) -> {
          TapeStorage storage = new TapeStorage(sum.held.retain(), sum.flat, null);
          TensorScope.register(storage);
          gradients.put(node, new Tensor(backend, storage, 0, node.dtype, node.shape));
        });
    return new Gradients(gradients);
  }

  /** Frees what an error has left, and lets go of the variables. */
  @Override
  public void close() {
    reached.forEach(Node::release);
    sums.values().forEach(sum -> sum.held.release());
    variables.forEach(
        (node, sum) -> {
          sum.held.release();
          node.release();
        });
  }
}
