package dev.longalign.onnx.graph;

import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.OperatorSetIdProto;
import ai.onnx.proto.OnnxMl.StringStringEntryProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnx.proto.OnnxMl.TensorShapeProto;
import ai.onnx.proto.OnnxMl.TypeProto;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import com.google.protobuf.ByteString;
import dev.longalign.io.StoredTensor;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * Builds one ONNX model node by node. {@link GraphOps} speaks its operators, {@link GraphWeights}
 * brings a checkpoint's tensors in. Weights are not in the model's bytes: who opens it hands them
 * over in memory.
 *
 * <pre>{@code
 * OnnxGraph graph = new OnnxGraph("twice");
 * Value x = graph.input("x", DType.F32, "n");
 * graph.output("y", graph.node("Add", DType.F32, List.of(x, x)), "n");
 * byte[] model = graph.toBytes(true);
 * }</pre>
 *
 * Not thread-safe.
 */
public final class OnnxGraph {
  /** First operator set with Gelu; later ones add nothing that is used here. */
  private static final int OPSET = 20;

  /** The file format that goes with operator set 20. */
  private static final int IR_VERSION = 9;

  private final GraphProto.Builder graph;
  private final Map<String, Integer> counts = new LinkedHashMap<>();
  private final Map<String, Weight> weights = new LinkedHashMap<>();
  private final Map<List<Object>, Value> constants = new LinkedHashMap<>();
  private final Map<String, Integer> inputRanks = new LinkedHashMap<>();
  private final List<Node> nodes = new ArrayList<>();

  /**
   * A checkpoint's tensor as a graph wants it.
   *
   * @param dtype the tensor's own, or f32
   */
  public record Weight(StoredTensor tensor, DType dtype) {
    /** The size in this type. */
    public long bytes() {
      return tensor.shape().size() * dtype.bytes();
    }
  }

  /**
   * A node as it was added, for those who derive other nodes from it.
   *
   * @param inputs in the operator's order; an absent optional input is null
   */
  record Node(
      String operator, List<Value> inputs, List<Value> outputs, Map<String, Attribute> attributes) {

    /** The attribute of that name, which must be there. */
    Attribute attribute(String name) {
      return Objects.requireNonNull(attributes.get(name), operator + " without " + name);
    }
  }

  public OnnxGraph(String name) {
    this.graph = GraphProto.newBuilder().setName(name);
  }

  /**
   * Declares an input.
   *
   * @param dims one per axis: a number, or any name for an extent that is known only when the graph
   *     runs
   */
  public Value input(String name, DType dtype, String... dims) {
    Value value = new Value(unique(name), dtype);
    graph.addInput(info(name, dtype, dims));
    inputRanks.put(value.name(), dims.length);
    return value;
  }

  /** Makes {@code value} an output under the given name; {@code dims} as in {@link #input}. */
  public void output(String name, Value value, String... dims) {
    graph.addNode(
        NodeProto.newBuilder()
            .setOpType("Identity")
            .addInput(value.name())
            .addOutput(unique(name)));
    graph.addOutput(info(name, value.dtype(), dims));
  }

  /** Adds a node with one output. */
  public Value node(String operator, DType dtype, List<Value> inputs, Attribute... attributes) {
    return nodes(operator, List.of(dtype), inputs, attributes).get(0);
  }

  /**
   * Adds a node with as many outputs as {@code dtypes} has entries.
   *
   * @param inputs in the operator's order; an absent optional input is null
   */
  public List<Value> nodes(
      String operator, List<DType> dtypes, List<Value> inputs, Attribute... attributes) {
    NodeProto.Builder node = NodeProto.newBuilder().setOpType(operator).setName(unique(operator));
    for (Value input : inputs) {
      node.addInput(input == null ? "" : input.name());
    }
    List<Value> outputs = new ArrayList<>(dtypes.size());
    for (DType dtype : dtypes) {
      Value output = new Value(unique(node.getName() + ".out"), dtype);
      node.addOutput(output.name());
      outputs.add(output);
    }
    Map<String, Attribute> named = new LinkedHashMap<>();
    for (Attribute attribute : attributes) {
      node.addAttribute(attribute.proto());
      named.put(attribute.proto().getName(), attribute);
    }
    graph.addNode(node);
    List<Value> results = Collections.unmodifiableList(outputs);
    nodes.add(new Node(operator, new ArrayList<>(inputs), results, named));
    return results;
  }

  /** The nodes so far, in the order of their computation; outputs' Identity nodes left out. */
  List<Node> nodes() {
    return List.copyOf(nodes);
  }

  /** The number of axes of each input. */
  Map<String, Integer> inputRanks() {
    return Collections.unmodifiableMap(inputRanks);
  }

  /** A small f32 constant that is written into the model. */
  public Value constant(Shape shape, float... values) {
    ByteBuffer bytes =
        ByteBuffer.allocate(values.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(values);
    return constant(DType.F32, shape, bytes);
  }

  /** A small i64 constant that is written into the model. */
  public Value constant(Shape shape, long... values) {
    ByteBuffer bytes =
        ByteBuffer.allocate(values.length * Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asLongBuffer().put(values);
    return constant(DType.I64, shape, bytes);
  }

  private Value constant(DType dtype, Shape shape, ByteBuffer bytes) {
    if (bytes.capacity() != shape.size() * dtype.bytes()) {
      throw new IllegalArgumentException(bytes.capacity() + " bytes do not fill " + dtype + shape);
    }
    ByteString data = ByteString.copyFrom(bytes);
    return constants.computeIfAbsent(
        List.of(dtype, shape, data),
        key -> {
          Value value = new Value(unique("constant"), dtype);
          graph.addInitializer(tensor(value.name(), dtype, shape).setRawData(data));
          return value;
        });
  }

  /**
   * A checkpoint's tensor; asking twice for a name gives the same value.
   *
   * @param dtype as the graph computes with it: its own, or f32
   */
  public Value weight(String name, StoredTensor tensor, DType dtype) {
    if (weights.putIfAbsent(name, new Weight(tensor, dtype)) == null) {
      unique(name);
    }
    return new Value(name, weights.get(name).dtype());
  }

  /** The weights by name, which whoever opens the model supplies. */
  public Map<String, Weight> weights() {
    return Collections.unmodifiableMap(weights);
  }

  /**
   * The model's bytes.
   *
   * @param weightsAreInputs whether weights are given at every run, which then reads them where
   *     they are; else once, as external initializers, of which ONNX Runtime makes a copy
   */
  public byte[] toBytes(boolean weightsAreInputs) {
    GraphProto.Builder complete = graph.clone();
    weights.forEach(
        (name, weight) -> {
          if (weightsAreInputs) {
            String[] dims =
                Arrays.stream(weight.tensor().shape().toArray())
                    .mapToObj(Long::toString)
                    .toArray(String[]::new);
            complete.addInput(info(name, weight.dtype(), dims));
          } else {
            complete.addInitializer(external(name, weight));
          }
        });
    return ModelProto.newBuilder()
        .setIrVersion(IR_VERSION)
        .setProducerName("longalign")
        .addOpsetImport(OperatorSetIdProto.newBuilder().setDomain("").setVersion(OPSET))
        .setGraph(complete)
        .build()
        .toByteArray();
  }

  /** The location is a name only: the values come with the session's options. */
  private static TensorProto.Builder external(String name, Weight weight) {
    return tensor(name, weight.dtype(), weight.tensor().shape())
        .setDataLocation(TensorProto.DataLocation.EXTERNAL)
        .addExternalData(entry("location", "memory"))
        .addExternalData(entry("offset", "0"))
        .addExternalData(entry("length", Long.toString(weight.bytes())));
  }

  private String unique(String name) {
    int count = counts.merge(name, 1, Integer::sum);
    return count == 1 ? name : unique(name + "_" + count);
  }

  private static TensorProto.Builder tensor(String name, DType dtype, Shape shape) {
    TensorProto.Builder tensor =
        TensorProto.newBuilder().setName(name).setDataType(OnnxTypes.code(dtype));
    for (long dim : shape.toArray()) {
      tensor.addDims(dim);
    }
    return tensor;
  }

  private static ValueInfoProto info(String name, DType dtype, String... dims) {
    TensorShapeProto.Builder shape = TensorShapeProto.newBuilder();
    for (String dim : dims) {
      TensorShapeProto.Dimension.Builder dimension = TensorShapeProto.Dimension.newBuilder();
      boolean number = dim.chars().allMatch(Character::isDigit);
      shape.addDim(
          number ? dimension.setDimValue(Long.parseLong(dim)) : dimension.setDimParam(dim));
    }
    TypeProto.Tensor.Builder tensor =
        TypeProto.Tensor.newBuilder().setElemType(OnnxTypes.code(dtype)).setShape(shape);
    return ValueInfoProto.newBuilder()
        .setName(name)
        .setType(TypeProto.newBuilder().setTensorType(tensor))
        .build();
  }

  private static StringStringEntryProto entry(String key, String value) {
    return StringStringEntryProto.newBuilder().setKey(key).setValue(value).build();
  }
}
