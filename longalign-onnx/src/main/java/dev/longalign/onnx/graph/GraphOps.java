package dev.longalign.onnx.graph;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import java.util.List;

/**
 * The operators that the models are written in, over one {@link OnnxGraph}. Shapes broadcast as
 * ONNX's do.
 */
public final class GraphOps {
  /**
   * What a masked score is set to: the most negative finite f32, so that a fully masked row stays
   * finite.
   */
  private static final float MASKED = -Float.MAX_VALUE;

  private static final Shape SCALAR = Shape.of();

  private final OnnxGraph graph;

  public GraphOps(OnnxGraph graph) {
    this.graph = graph;
  }

  public Value add(Value a, Value b) {
    return graph.node("Add", a.dtype(), List.of(a, b));
  }

  public Value mul(Value a, Value b) {
    return graph.node("Mul", a.dtype(), List.of(a, b));
  }

  public Value mul(Value a, float factor) {
    return mul(a, graph.constant(SCALAR, factor));
  }

  public Value sub(Value a, Value b) {
    return graph.node("Sub", a.dtype(), List.of(a, b));
  }

  public Value div(Value a, Value b) {
    return graph.node("Div", a.dtype(), List.of(a, b));
  }

  /** Over the last axis, which stays with extent 1. */
  public Value sum(Value x) {
    return graph.node("ReduceSum", x.dtype(), List.of(x, ints(-1)), Attribute.of("keepdims", 1));
  }

  /** Over the last axis, which stays with extent 1. */
  public Value mean(Value x) {
    return graph.node("ReduceMean", x.dtype(), List.of(x, ints(-1)), Attribute.of("keepdims", 1));
  }

  public Value sqrt(Value x) {
    return graph.node("Sqrt", x.dtype(), List.of(x));
  }

  public Value matMul(Value a, Value b) {
    return graph.node("MatMul", a.dtype(), List.of(a, b));
  }

  /**
   * x W^T + b with torch's weight layout, so that the file's bytes are multiplied as they lie.
   *
   * @param x [rows, in]
   * @param weight [out, in]
   * @param bias [out], or null
   */
  public Value linear(Value x, Value weight, Value bias) {
    List<Value> inputs = bias == null ? List.of(x, weight) : List.of(x, weight, bias);
    return graph.node("Gemm", x.dtype(), inputs, Attribute.of("transB", 1));
  }

  /** Over the last axis, with scale and shift. */
  public Value layerNorm(Value x, Value weight, Value bias, float epsilon) {
    return graph.node(
        "LayerNormalization",
        x.dtype(),
        List.of(x, weight, bias),
        Attribute.of("axis", -1),
        Attribute.of("epsilon", epsilon));
  }

  /**
   * x / sqrt(mean(x^2) + epsilon) * weight over the last axis: no mean is taken off, nothing is
   * added.
   */
  public Value rmsNorm(Value x, Value weight, float epsilon) {
    Value square = graph.node("Pow", x.dtype(), List.of(x, graph.constant(SCALAR, 2f)));
    Value root = sqrt(add(mean(square), graph.constant(SCALAR, epsilon)));
    return mul(div(x, root), weight);
  }

  /**
   * An activation by the name that transformers' configs give it; {@link #knowsActivation} says
   * which exist.
   */
  public Value activation(String name, Value x) {
    return switch (name) {
      case "quick_gelu" -> mul(x, graph.node("Sigmoid", x.dtype(), List.of(mul(x, 1.702f))));
      case "gelu" -> graph.node("Gelu", x.dtype(), List.of(x));
      case "gelu_new", "gelu_pytorch_tanh" ->
          graph.node("Gelu", x.dtype(), List.of(x), Attribute.of("approximate", "tanh"));
      case "relu" -> graph.node("Relu", x.dtype(), List.of(x));
      case "silu", "swish" -> mul(x, graph.node("Sigmoid", x.dtype(), List.of(x)));
      default -> throw new LongAlignException("unknown activation \"" + name + "\"");
    };
  }

  /** Whether {@link #activation} knows the name. */
  public static boolean knowsActivation(String name) {
    return switch (name) {
      case "quick_gelu", "gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "swish" -> true;
      default -> false;
    };
  }

  public Value softmax(Value x) {
    return graph.node("Softmax", x.dtype(), List.of(x), Attribute.of("axis", -1));
  }

  /**
   * softmax(q k^T + bias) v for every head; scale q beforehand if the model scales.
   *
   * @param q [rows, heads * headWidth], where rows = batch * length; k and v alike
   * @param splitShape i64 [4] that holds batch, length, heads, headWidth
   * @param width heads * headWidth
   * @param bias broadcastable to [batch, heads, length, length], or null
   * @return [rows, heads * headWidth]
   */
  public Value attention(Value q, Value k, Value v, Value splitShape, long width, Value bias) {
    Value queries =
        transpose(reshape(q, splitShape), 0, 2, 1, 3); // [batch, heads, length, headWidth]
    Value keys = transpose(reshape(k, splitShape), 0, 2, 3, 1); // [batch, heads, headWidth, length]
    Value values = transpose(reshape(v, splitShape), 0, 2, 1, 3);
    Value scores = matMul(queries, keys);
    Value probabilities = softmax(bias == null ? scores : add(scores, bias));
    return reshape(transpose(matMul(probabilities, values), 0, 2, 1, 3), ints(-1, width));
  }

  /** [length, length] with 0 where the column is at or before the row, and "never" elsewhere. */
  public Value causalBias(Value length) {
    Value positions = range(length);
    Value later =
        graph.node(
            "Greater", DType.BOOL, List.of(unsqueeze(positions, 0), unsqueeze(positions, 1)));
    return graph.node(
        "Where",
        DType.F32,
        List.of(later, graph.constant(SCALAR, MASKED), graph.constant(SCALAR, 0f)));
  }

  /**
   * Squares of a picture that do not overlap, each times the same matrix.
   *
   * @param x [batch, channels, height, width], height and width multiples of {@code side}
   * @param weight [out, channels, side, side]
   * @param bias [out], or null
   * @return [batch, out, height / side, width / side]
   */
  public Value patches(Value x, Value weight, Value bias, long side) {
    List<Value> inputs = bias == null ? List.of(x, weight) : List.of(x, weight, bias);
    return graph.node(
        "Conv",
        x.dtype(),
        inputs,
        Attribute.of("kernel_shape", new long[] {side, side}),
        Attribute.of("strides", new long[] {side, side}));
  }

  /** The part [from, to) along one axis. */
  public Value slice(Value x, long axis, long from, long to) {
    return slice(x, ints(from), ints(to), ints(axis));
  }

  /** The part [from, to) along the axes; i64 vectors of equal length. */
  public Value slice(Value x, Value from, Value to, Value axes) {
    return graph.node("Slice", x.dtype(), List.of(x, from, to, axes));
  }

  /** Joins along an axis. */
  public Value concat(long axis, Value... parts) {
    return graph.node("Concat", parts[0].dtype(), List.of(parts), Attribute.of("axis", axis));
  }

  /** x repeated to the given shape (i64 vector). */
  public Value expand(Value x, Value shape) {
    return graph.node("Expand", x.dtype(), List.of(x, shape));
  }

  /** i64 vector of all extents. */
  public Value shape(Value x) {
    return graph.node("Shape", DType.I64, List.of(x));
  }

  /** Rows of {@code table} along its first axis: [...indices, ...rest]. */
  public Value gather(Value table, Value indices) {
    return graph.node("Gather", table.dtype(), List.of(table, indices), Attribute.of("axis", 0));
  }

  /** One row per batch entry: x [batch, length, width], index [batch] gives [batch, width]. */
  public Value gatherPerBatch(Value x, Value index) {
    return graph.node(
        "GatherND", x.dtype(), List.of(x, unsqueeze(index, 1)), Attribute.of("batch_dims", 1));
  }

  /** The first position of the largest entry of each row. */
  public Value argMax(Value x) {
    return graph.node(
        "ArgMax", DType.I64, List.of(x), Attribute.of("axis", 1), Attribute.of("keepdims", 0));
  }

  public Value equal(Value a, Value b) {
    return graph.node("Equal", DType.BOOL, List.of(a, b));
  }

  public Value cast(Value x, DType dtype) {
    return x.dtype() == dtype
        ? x
        : graph.node("Cast", dtype, List.of(x), Attribute.of("to", dtype));
  }

  public Value clip(Value x, Value low, Value high) {
    return graph.node("Clip", x.dtype(), List.of(x, low, high));
  }

  public Value transpose(Value x, long... permutation) {
    return graph.node("Transpose", x.dtype(), List.of(x), Attribute.of("perm", permutation));
  }

  public Value reshape(Value x, Value shape) {
    return graph.node("Reshape", x.dtype(), List.of(x, shape));
  }

  public Value unsqueeze(Value x, long axis) {
    return graph.node("Unsqueeze", x.dtype(), List.of(x, ints(axis)));
  }

  /** i64 scalar: the extent of one axis. */
  public Value extent(Value x, int axis) {
    return graph.node("Gather", DType.I64, List.of(shape(x), graph.constant(SCALAR, (long) axis)));
  }

  /** The shape of {@code x} followed by fixed extents. */
  public Value shapeThen(Value x, long... extents) {
    return concat(0, shape(x), ints(extents));
  }

  /** 0, 1, ..., length - 1 as i64. */
  public Value range(Value length) {
    return graph.node(
        "Range",
        DType.I64,
        List.of(graph.constant(SCALAR, 0L), length, graph.constant(SCALAR, 1L)));
  }

  /** The first {@code count} rows. */
  public Value head(Value x, Value count) {
    return graph.node("Slice", x.dtype(), List.of(x, ints(0), unsqueeze(count, 0), ints(0)));
  }

  /** An i64 vector constant. */
  public Value ints(long... values) {
    return graph.constant(Shape.of(values.length), values);
  }
}
