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
import dev.longalign.LongAlignException;
import dev.longalign.io.FileRegion;
import dev.longalign.io.Reasons;
import dev.longalign.io.StoredTensor;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * Builds one ONNX model node by node. {@link GraphOps} speaks its operators, {@link GraphWeights}
 * brings a checkpoint's tensors in. Large weights are not copied: the model names the file, the
 * offset and the length of each, and files are named relative to {@link #folder()}.
 *
 * <pre>{@code
 * OnnxGraph graph = new OnnxGraph("twice");
 * Value x = graph.input("x", DType.F32, "n");
 * graph.output("y", graph.node("Add", DType.F32, List.of(x, x)), "n");
 * byte[] model = graph.toBytes();
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
  private final Map<String, StoredTensor> weights = new LinkedHashMap<>();
  private final Map<Path, Path> realFiles = new LinkedHashMap<>();
  private final Map<List<Object>, Value> constants = new LinkedHashMap<>();
  private final Map<String, Integer> inputRanks = new LinkedHashMap<>();
  private final List<Node> nodes = new ArrayList<>();

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

  /** A checkpoint's tensor as it is stored; asking twice for a name gives the same value. */
  public Value weight(String name, StoredTensor tensor) {
    if (weights.putIfAbsent(name, tensor) == null) {
      unique(name);
      tensor
          .region()
          .ifPresent(region -> realFiles.computeIfAbsent(region.file(), OnnxGraph::realFile));
    }
    return new Value(name, tensor.dtype());
  }

  /**
   * The checkpoint's tensors that cannot be read in place: whoever opens the model supplies them
   * under these names.
   */
  public Map<String, StoredTensor> weightsInMemory() {
    Map<String, StoredTensor> inMemory = new LinkedHashMap<>(weights);
    inMemory.values().removeIf(tensor -> tensor.region().isPresent());
    return inMemory;
  }

  /**
   * The innermost directory that contains every weight file, links followed: ONNX Runtime refuses
   * to look outside of it, and download caches link from a model's directory to files elsewhere.
   * The working directory if there is none.
   */
  public Path folder() {
    Path folder = null;
    for (Path file : realFiles.values()) {
      folder = folder == null ? file.getParent() : folder;
      while (folder != null && !file.startsWith(folder)) {
        folder = folder.getParent();
      }
      if (folder == null) {
        throw new LongAlignException(
            "the weight files "
                + realFiles.values()
                + " lie on different drives; move them to one");
      }
    }
    return folder == null ? Path.of("").toAbsolutePath() : folder;
  }

  /** The model's bytes, to be opened with external data looked up in {@link #folder()}. */
  public byte[] toBytes() {
    Path folder = folder();
    GraphProto.Builder complete = graph.clone();
    weights.forEach((name, weight) -> complete.addInitializer(external(name, weight, folder)));
    return ModelProto.newBuilder()
        .setIrVersion(IR_VERSION)
        .setProducerName("longalign")
        .addOpsetImport(OperatorSetIdProto.newBuilder().setDomain("").setVersion(OPSET))
        .setGraph(complete)
        .build()
        .toByteArray();
  }

  private TensorProto.Builder external(String name, StoredTensor weight, Path folder) {
    FileRegion region = weight.region().orElse(null);
    // Only a name for what is in memory: the values come with the session's options.
    String location =
        region == null
            ? "memory"
            : folder.relativize(realFiles.get(region.file())).toString().replace('\\', '/');
    return tensor(name, weight.dtype(), weight.shape())
        .setDataLocation(TensorProto.DataLocation.EXTERNAL)
        .addExternalData(entry("location", location))
        .addExternalData(entry("offset", Long.toString(region == null ? 0 : region.offset())))
        .addExternalData(entry("length", Long.toString(weight.byteSize())));
  }

  private static Path realFile(Path file) {
    try {
      return file.toRealPath();
    } catch (IOException e) {
      throw new LongAlignException(
          "cannot find the weight file " + file + " (" + Reasons.of(e) + "); was it moved?", e);
    }
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
