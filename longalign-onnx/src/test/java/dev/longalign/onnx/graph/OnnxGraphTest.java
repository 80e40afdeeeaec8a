package dev.longalign.onnx.graph;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtSession;
import dev.longalign.LongAlignException;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import java.nio.FloatBuffer;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class OnnxGraphTest {
  private final OnnxGraph graph = new OnnxGraph("test");
  private final GraphOps ops = new GraphOps(graph);

  /** Runs the graph with its one input x [rows, columns]. */
  private float[] run(String output, int columns, float... x) throws OrtException {
    OrtEnvironment environment =
        OrtEnvironment.getEnvironment(OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR, "longalign");
    try (OrtSession session = environment.createSession(graph.toBytes(true));
        OnnxTensor input =
            OnnxTensor.createTensor(
                environment, FloatBuffer.wrap(x), new long[] {x.length / columns, columns});
        OrtSession.Result result = session.run(Map.of("x", input))) {
      return ((OnnxTensor) result.get(output).orElseThrow()).getFloatBuffer().array();
    }
  }

  @Test
  void nodesWithSeveralInputsAndOutputs() throws OrtException {
    Value x = graph.input("x", DType.F32, "rows", "3");
    List<Value> top =
        graph.nodes(
            "TopK",
            List.of(DType.F32, DType.I64),
            List.of(x, ops.ints(2)),
            Attribute.of("axis", -1));
    graph.output("values", top.get(0), "rows", "2");
    graph.output("places", ops.cast(top.get(1), DType.F32), "rows", "2");
    assertThat(run("values", 3, 5, 9, 7, 1, 2, 3)).containsExactly(9, 7, 3, 2);
    assertThat(run("places", 3, 5, 9, 7, 1, 2, 3)).containsExactly(1, 2, 2, 1);
  }

  @Test
  void absentOptionalInputs() throws OrtException {
    Value x = graph.input("x", DType.F32, "rows", "2");
    Value most = graph.constant(Shape.of(), 1.5f);
    graph.output(
        "y", graph.node("Clip", DType.F32, java.util.Arrays.asList(x, null, most)), "rows", "2");
    assertThat(run("y", 2, -4, 4)).containsExactly(-4, 1.5f);
  }

  @Test
  void equalConstantsAreOne() {
    assertThat(graph.constant(Shape.of(2), 1f, 2f)).isEqualTo(graph.constant(Shape.of(2), 1f, 2f));
    assertThat(graph.constant(Shape.of(2), 1f, 2f))
        .isNotEqualTo(graph.constant(Shape.of(1, 2), 1f, 2f));
    assertThatThrownBy(() -> graph.constant(Shape.of(3), 1f))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void causalBiasHidesWhatComesLater() throws OrtException {
    Value x = graph.input("x", DType.F32, "rows", "3");
    Value scores = ops.add(ops.mul(x, 0), ops.causalBias(ops.extent(x, 1)));
    graph.output("y", ops.softmax(scores), "rows", "3");
    float third = 1 / 3f;
    assertThat(run("y", 3, new float[9]))
        .usingComparatorWithPrecision(1e-6f)
        .containsExactly(1, 0, 0, .5f, .5f, 0, third, third, third);
  }

  @ParameterizedTest
  @CsvSource({
    "quick_gelu, 1.0, 0.8457958",
    "gelu, 1.0, 0.8413447",
    "gelu_new, 1.0, 0.8411920",
    "gelu_pytorch_tanh, -0.5, -0.1542860",
    "relu, -3, 0",
    "silu, 2, 1.7615942",
    "swish, -1, -0.2689414"
  })
  void activations(String name, float x, float expected) throws OrtException {
    graph.output("y", ops.activation(name, graph.input("x", DType.F32, "rows", "1")), "rows", "1");
    assertThat(run("y", 1, x)[0]).isCloseTo(expected, within(2e-6f));
  }

  @Test
  void unknownActivation() {
    Value x = graph.input("x", DType.F32, "rows", "1");
    assertThat(GraphOps.knowsActivation("tan")).isFalse();
    assertThatThrownBy(() -> ops.activation("tan", x))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("tan");
  }

  @Test
  void distanceBuckets() {
    // transformers' T5Attention._relative_position_bucket for 32 buckets up to 128, at these
    // distances key - query.
    long[] buckets = T5EncoderGraph.buckets(32, 128);
    int[] distances = {
      -128, -64, -32, -16, -12, -11, -8, -7, -1, 0, 1, 7, 8, 11, 12, 16, 32, 64, 128
    };
    long[] expected = {15, 14, 12, 10, 9, 8, 8, 7, 1, 0, 17, 23, 24, 24, 25, 26, 28, 30, 31};
    for (int i = 0; i < distances.length; i++) {
      assertThat(buckets[distances[i] + 128])
          .as("distance %d", distances[i])
          .isEqualTo(expected[i]);
    }
  }
}
