package dev.longalign.onnx.graph;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtSession;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import java.nio.FloatBuffer;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.BiFunction;
import java.util.stream.Stream;
import org.junit.jupiter.api.Named;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Every rule against central differences, on x [2, 3, 4]. */
class GraphGradientTest {
  private static final long[] SHAPE = {2, 3, 4};
  private static final int SIZE = 24;

  private static Named<BiFunction<OnnxGraph, Value, Value>> function(
      String name, BiFunction<OnnxGraph, Value, Value> function) {
    return Named.of(name, function);
  }

  private static GraphOps ops(OnnxGraph graph) {
    return new GraphOps(graph);
  }

  private static Value vector(OnnxGraph graph, float... values) {
    return graph.constant(Shape.of(values.length), values);
  }

  static Stream<Named<BiFunction<OnnxGraph, Value, Value>>> functions() {
    return Stream.of(
        function("add twice", (g, x) -> ops(g).add(x, x)),
        function("add a constant", (g, x) -> ops(g).add(vector(g, 1, 2, 3, 4), x)),
        function("sub", (g, x) -> ops(g).sub(ops(g).mul(x, 3), ops(g).mul(x, x))),
        function("mul", (g, x) -> ops(g).mul(ops(g).mul(x, x), vector(g, 1, -2, 3, 4))),
        function("quick_gelu", (g, x) -> ops(g).activation("quick_gelu", x)),
        function("gelu", (g, x) -> ops(g).activation("gelu", x)),
        function("gelu_new", (g, x) -> ops(g).activation("gelu_new", x)),
        function("silu", (g, x) -> ops(g).activation("silu", x)),
        function(
            "relu", (g, x) -> ops(g).activation("relu", ops(g).add(x, vector(g, 2, -2, 2, -2)))),
        function("softmax", (g, x) -> ops(g).softmax(ops(g).mul(x, 2))),
        function(
            "layer norm",
            (g, x) -> ops(g).layerNorm(x, vector(g, 1, 0.5f, 0, -2), vector(g, 0, 1, 2, 3), 1e-2f)),
        function("matmul, both", (g, x) -> ops(g).matMul(x, ops(g).transpose(x, 0, 2, 1))),
        function(
            "matmul of a matmul",
            (g, x) -> {
              Value scores = ops(g).matMul(x, ops(g).transpose(x, 0, 2, 1));
              return ops(g).matMul(ops(g).softmax(scores), x);
            }),
        function(
            "linear",
            (g, x) -> {
              Value weight = g.constant(Shape.of(2, 4), 1f, 2, 3, 4, -5, 6, -7, 8);
              return ops(g).linear(ops(g).reshape(x, ops(g).ints(-1, 4)), weight, vector(g, 1, 2));
            }),
        function(
            "transpose",
            (g, x) -> ops(g).mul(ops(g).transpose(x, 2, 0, 1), ops(g).transpose(x, 2, 0, 1))),
        function("slice", (g, x) -> ops(g).mul(ops(g).slice(x, 1, 1, 3), 2)),
        function("slice of two axes", (g, x) -> ops(g).slice(ops(g).slice(x, 2, 0, 3), 1, 0, 1)),
        function(
            "concat",
            (g, x) -> {
              Value square = ops(g).mul(x, x);
              return ops(g).concat(1, ops(g).slice(x, 1, 0, 2), square, x);
            }),
        function(
            "patches",
            (g, x) -> {
              Value picture = ops(g).reshape(x, ops(g).ints(2, 3, 2, 2));
              Value weight = g.constant(Shape.of(2, 3, 2, 2), patterned(24));
              return ops(g).patches(picture, weight, null, 2);
            }),
        function("cast", (g, x) -> ops(g).cast(ops(g).cast(x, DType.F64), DType.F32)));
  }

  private static float[] patterned(int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = i * 7 % 11 / 5f - 1;
    }
    return values;
  }

  @ParameterizedTest
  @MethodSource("functions")
  void ruleIsTheSlope(BiFunction<OnnxGraph, Value, Value> function) throws OrtException {
    OnnxGraph graph = new OnnxGraph("rule");
    GraphOps ops = ops(graph);
    Value x = graph.input("x", DType.F32, "2", "3", "4");
    Value y = ops.reshape(function.apply(graph, x), ops.ints(-1));
    // The cotangent: 1, 1.1, 1.2, ...
    Value steps = ops.cast(ops.range(ops.extent(y, 0)), DType.F32);
    Value dy = ops.add(ops.mul(steps, 0.1f), graph.constant(Shape.of(), 1f));
    graph.output("total", ops.sum(ops.mul(y, dy)), "1");
    graph.output("dx", GraphGradient.of(graph, y, dy, x), "2", "3", "4");

    OrtEnvironment environment =
        OrtEnvironment.getEnvironment(OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR, "longalign");
    try (OrtSession session = environment.createSession(graph.toBytes(true))) {
      Random random = new Random(3);
      float[] at = new float[SIZE];
      for (int i = 0; i < SIZE; i++) {
        at[i] = (float) random.nextGaussian() * 0.7f;
      }
      float[] gradient = run(session, environment, at, "dx");
      assertThat(gradient).hasSize(SIZE);
      for (int i = 0; i < SIZE; i++) {
        float[] up = at.clone();
        float[] down = at.clone();
        up[i] += 5e-3f;
        down[i] -= 5e-3f;
        double change =
            (double) run(session, environment, up, "total")[0]
                - run(session, environment, down, "total")[0];
        double slope = change / ((double) up[i] - down[i]);
        assertThat((double) gradient[i])
            .as("element %d", i)
            .isCloseTo(slope, within(3e-3 * Math.max(1, Math.abs(slope))));
      }
    }
  }

  private static float[] run(
      OrtSession session, OrtEnvironment environment, float[] x, String output)
      throws OrtException {
    try (OnnxTensor input = OnnxTensor.createTensor(environment, FloatBuffer.wrap(x), SHAPE);
        OrtSession.Result result = session.run(Map.of("x", input))) {
      return ((OnnxTensor) result.get(output).orElseThrow()).getFloatBuffer().array();
    }
  }

  @Test
  void refusesWhatHasNoDerivative() {
    OnnxGraph graph = new OnnxGraph("refusals");
    GraphOps ops = ops(graph);
    Value x = graph.input("x", DType.F32, "2", "3");
    Value other = graph.input("other", DType.F32, "2", "3");
    assertThatThrownBy(() -> GraphGradient.of(graph, ops.mul(other, 2), other, x))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("does not depend on x");
    Value root = ops.sqrt(x);
    assertThatThrownBy(() -> GraphGradient.of(graph, root, other, x))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("Sqrt has no derivative");
    Value top = graph.nodes("TopK", List.of(DType.F32, DType.I64), List.of(x, ops.ints(1))).get(0);
    assertThatThrownBy(() -> GraphGradient.of(graph, top, other, x))
        .hasMessageContaining("TopK with several outputs");
    Value weightGradient = ops.linear(other, x, null);
    assertThatThrownBy(() -> GraphGradient.of(graph, weightGradient, other, x))
        .hasMessageContaining("Gemm: only its first input");
  }
}
