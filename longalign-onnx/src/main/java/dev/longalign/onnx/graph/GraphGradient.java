package dev.longalign.onnx.graph;

import dev.longalign.onnx.graph.OnnxGraph.Node;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Reverse-mode differentiation of an {@link OnnxGraph}: walks the nodes that lead from one value to
 * another backwards and adds, for each, the nodes of its derivative ({@link GradientRules}). What
 * does not depend on the value asked for, such as frozen weights, gets no gradient and costs
 * nothing.
 *
 * <pre>{@code
 * Value y = ops.activation("gelu", x);
 * Value dx = GraphGradient.of(graph, y, dy, x);   // dy: same shape as y
 * }</pre>
 */
public final class GraphGradient {
  private GraphGradient() {}

  /**
   * The gradient of {@code sum(result * cotangent)} with respect to {@code with}. Where an operand
   * that depends on {@code with} is broadcast, its gradient would need a sum that is not emitted:
   * repeat it explicitly.
   *
   * @param result what is differentiated
   * @param cotangent of the shape of {@code result}
   * @param with usually an input of the graph
   * @throws IllegalArgumentException if {@code result} does not depend on {@code with}, or goes
   *     through an operator that has no derivative here
   */
  public static Value of(OnnxGraph graph, Value result, Value cotangent, Value with) {
    List<Node> nodes = graph.nodes();
    Set<Value> dependent = dependents(nodes, with);
    if (!dependent.contains(result)) {
      throw new IllegalArgumentException(
          result.name() + " does not depend on " + with.name() + ": there is no gradient");
    }
    GradientRules rules = new GradientRules(graph, nodes);
    GraphOps ops = new GraphOps(graph);
    Map<Value, Value> gradients = new HashMap<>(Map.of(result, cotangent));
    for (int i = nodes.size() - 1; i >= 0; i--) {
      Node node = nodes.get(i);
      Value gradient = node.outputs().size() == 1 ? gradients.get(node.outputs().get(0)) : null;
      if (node.outputs().size() > 1 && node.outputs().stream().anyMatch(gradients::containsKey)) {
        throw new IllegalArgumentException(
            node.operator() + " with several outputs: no derivative");
      }
      for (int input = 0; gradient != null && input < node.inputs().size(); input++) {
        Value operand = node.inputs().get(input);
        if (dependent.contains(operand)) {
          gradients.merge(operand, rules.gradient(node, input, gradient), ops::add);
        }
      }
    }
    return gradients.get(with);
  }

  private static Set<Value> dependents(List<Node> nodes, Value with) {
    Set<Value> dependent = new HashSet<>(Set.of(with));
    for (Node node : nodes) {
      // Shapes do not change with the values.
      if (!node.operator().equals("Shape")
          && node.inputs().stream().anyMatch(v -> v != null && dependent.contains(v))) {
        dependent.addAll(node.outputs());
      }
    }
    return dependent;
  }
}
