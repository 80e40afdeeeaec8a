package dev.longalign.onnx.graph;

import static java.util.Map.entry;

import dev.longalign.onnx.graph.OnnxGraph.Node;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The derivative of every operator that the models are differentiated through: one rule each. */
final class GradientRules {
  private static final Shape SCALAR = Shape.of();
  private static final float TANH_CUBIC = 0.044715f;
  private static final float TANH_SCALE = (float) Math.sqrt(2 / Math.PI);

  /** From the gradient of a node's output to that of one of its inputs. */
  private interface Rule {
    Value gradient(Node node, int input, Value dy);
  }

  private final OnnxGraph graph;
  private final GraphOps ops;
  private final Map<Value, Node> producers = new HashMap<>();
  private final Map<String, Rule> rules =
      Map.ofEntries(
          entry("Identity", (node, input, dy) -> dy),
          entry("Cast", (node, input, dy) -> ops().cast(dy, node.inputs().get(0).dtype())),
          entry("Add", (node, input, dy) -> dy),
          entry("Sub", (node, input, dy) -> input == 0 ? dy : ops().mul(dy, -1)),
          entry("Mul", (node, input, dy) -> ops().mul(dy, node.inputs().get(1 - input))),
          entry("MatMul", this::matMul),
          entry("Gemm", this::gemm),
          entry("Conv", this::conv),
          entry("LayerNormalization", this::layerNorm),
          entry("Softmax", this::softmax),
          entry("Sigmoid", this::sigmoid),
          entry("Gelu", this::gelu),
          entry("Relu", this::relu),
          entry("Reshape", (node, input, dy) -> ops().reshape(dy, ops().shape(first(node)))),
          entry("Transpose", this::transpose),
          entry("Slice", this::slice),
          entry("Concat", this::concat));

  GradientRules(OnnxGraph graph, List<Node> nodes) {
    this.graph = graph;
    this.ops = new GraphOps(graph);
    nodes.forEach(node -> node.outputs().forEach(output -> producers.put(output, node)));
  }

  /**
   * Adds the nodes that compute the gradient with respect to input number {@code input}.
   *
   * @param dy gradient of the node's output
   * @throws IllegalArgumentException if there is no such rule
   */
  Value gradient(Node node, int input, Value dy) {
    Rule rule = rules.get(node.operator());
    if (rule == null) {
      throw new IllegalArgumentException(
          "the operator "
              + node.operator()
              + " has no derivative; expected one of "
              + rules.keySet());
    }
    return rule.gradient(node, input, dy);
  }

  private GraphOps ops() {
    return ops;
  }

  private static Value first(Node node) {
    return node.inputs().get(0);
  }

  private static Value output(Node node) {
    return node.outputs().get(0);
  }

  private static void requireFirst(Node node, int input) {
    if (input != 0) {
      throw new IllegalArgumentException(
          node.operator() + ": only its first input has a derivative, asked for input " + input);
    }
  }

  /** dA = dY B^T, dB = A^T dY. */
  private Value matMul(Node node, int input, Value dy) {
    Value other = swapLastAxes(node.inputs().get(1 - input));
    return input == 0 ? ops.matMul(dy, other) : ops.matMul(other, dy);
  }

  /** y = x W^T + b with W frozen: dx = dy W. */
  private Value gemm(Node node, int input, Value dy) {
    requireFirst(node, input);
    boolean transposed = node.attribute("transB").proto().getI() == 1;
    Attribute transB = Attribute.of("transB", transposed ? 0 : 1);
    return graph.node("Gemm", dy.dtype(), List.of(dy, node.inputs().get(1)), transB);
  }

  /** Strides equal the kernel, so that every pixel is in one patch and gets one product. */
  private Value conv(Node node, int input, Value dy) {
    requireFirst(node, input);
    return graph.node(
        "ConvTranspose",
        dy.dtype(),
        List.of(dy, node.inputs().get(1)),
        node.attribute("kernel_shape"),
        node.attribute("strides"));
  }

  /**
   * With n the normalised x and g = dy * weight: dx = (g - mean(g) - n mean(g n)) / sqrt(variance +
   * epsilon).
   */
  private Value layerNorm(Node node, int input, Value dy) {
    requireFirst(node, input);
    Value weight = node.inputs().get(1);
    Value ones = ops.expand(graph.constant(SCALAR, 1f), ops.shape(weight));
    // With a scale of one and no shift the same operator yields n, and 1/sqrt(...) beside it.
    List<Value> normalised =
        graph.nodes(
            node.operator(),
            List.of(DType.F32, DType.F32, DType.F32),
            List.of(first(node), ones),
            node.attribute("axis"),
            node.attribute("epsilon"));
    Value n = normalised.get(0);
    Value g = ops.mul(dy, weight);
    Value along = ops.mul(n, ops.mean(ops.mul(g, n)));
    return ops.mul(ops.sub(ops.sub(g, ops.mean(g)), along), normalised.get(2));
  }

  /** dx = y (dy - sum(dy y)). */
  private Value softmax(Node node, int input, Value dy) {
    Value y = output(node);
    Value sum = ops.sum(ops.mul(dy, y));
    return ops.mul(y, ops.sub(dy, sum));
  }

  /** dx = dy y (1 - y). */
  private Value sigmoid(Node node, int input, Value dy) {
    Value y = output(node);
    return ops.mul(dy, ops.mul(y, ops.sub(scalar(1), y)));
  }

  /** x Phi(x), or its approximation by tanh. */
  private Value gelu(Node node, int input, Value dy) {
    Value x = first(node);
    Value derivative = node.attributes().containsKey("approximate") ? tanhGelu(x) : erfGelu(x);
    return ops.mul(dy, derivative);
  }

  /** Phi(x) + x phi(x). */
  private Value erfGelu(Value x) {
    Value erf = unary("Erf", ops.mul(x, (float) Math.sqrt(0.5)));
    Value cumulative = ops.mul(ops.add(erf, scalar(1)), 0.5f);
    Value density = unary("Exp", ops.mul(ops.mul(x, x), -0.5f));
    density = ops.mul(density, (float) (1 / Math.sqrt(2 * Math.PI)));
    return ops.add(cumulative, ops.mul(x, density));
  }

  /** With t = tanh(c (x + a x^3)): (1 + t) / 2 + x (1 - t^2) c (1 + 3 a x^2) / 2. */
  private Value tanhGelu(Value x) {
    Value square = ops.mul(x, x);
    Value inner = ops.mul(x, ops.add(ops.mul(square, TANH_CUBIC), scalar(1)));
    Value t = unary("Tanh", ops.mul(inner, TANH_SCALE));
    Value slope = ops.mul(ops.add(ops.mul(square, 3 * TANH_CUBIC), scalar(1)), TANH_SCALE);
    Value steep = ops.mul(ops.mul(x, ops.sub(scalar(1), ops.mul(t, t))), slope);
    return ops.mul(ops.add(ops.add(t, scalar(1)), steep), 0.5f);
  }

  private Value relu(Node node, int input, Value dy) {
    Value positive = graph.node("Greater", DType.BOOL, List.of(first(node), scalar(0)));
    return graph.node("Where", dy.dtype(), List.of(positive, dy, scalar(0)));
  }

  private Value transpose(Node node, int input, Value dy) {
    List<Long> permutation = node.attribute("perm").proto().getIntsList();
    long[] inverse = new long[permutation.size()];
    for (int i = 0; i < inverse.length; i++) {
      inverse[permutation.get(i).intValue()] = i;
    }
    return ops.transpose(dy, inverse);
  }

  /** What was left out gets zeros. Bounds are not negative, and within the shape. */
  private Value slice(Node node, int input, Value dy) {
    requireFirst(node, input);
    Value from = node.inputs().get(1);
    Value axes = node.inputs().get(3);
    Value extents = ops.gather(ops.shape(first(node)), axes);
    Value after = ops.sub(extents, ops.add(from, ops.gather(ops.shape(dy), axes)));
    Value pads = ops.concat(0, from, after);
    return graph.node("Pad", dy.dtype(), List.of(dy, pads, scalar(0), axes));
  }

  /** The part of dy that lies where the input went. */
  private Value concat(Node node, int input, Value dy) {
    long axis = node.attribute("axis").proto().getI();
    Value from = ops.ints(0);
    for (int i = 0; i < input; i++) {
      from = ops.add(from, ops.unsqueeze(ops.extent(node.inputs().get(i), (int) axis), 0));
    }
    Value extent = ops.unsqueeze(ops.extent(node.inputs().get(input), (int) axis), 0);
    return ops.slice(dy, from, ops.add(from, extent), ops.ints(axis));
  }

  private Value unary(String operator, Value x) {
    return graph.node(operator, x.dtype(), List.of(x));
  }

  private Value scalar(float value) {
    return graph.constant(SCALAR, value);
  }

  private Value swapLastAxes(Value x) {
    int rank = rank(x);
    long[] permutation = new long[rank];
    for (int i = 0; i < rank; i++) {
      permutation[i] = i < rank - 2 ? i : 2L * rank - 3 - i;
    }
    return ops.transpose(x, permutation);
  }

  /** The number of axes, from the nearest node before that says so. */
  private int rank(Value x) {
    Node producer = producers.get(x);
    if (producer == null) {
      Integer rank = graph.inputRanks().get(x.name());
      if (rank == null) {
        throw new IllegalArgumentException("the number of axes of " + x.name() + " is not known");
      }
      return rank;
    }
    return switch (producer.operator()) {
      case "Transpose" -> producer.attribute("perm").proto().getIntsCount();
      case "Gemm" -> 2;
      case "Add", "Sub", "Mul", "MatMul", "Softmax", "Sigmoid", "Gelu", "Relu", "Cast" ->
          rank(first(producer));
      default ->
          throw new IllegalArgumentException(
              "the number of axes of what " + producer.operator() + " yields is not known");
    };
  }
}
