package dev.longalign.onnx.graph;

import dev.longalign.LongAlignException;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFile;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import java.util.ArrayList;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Brings a checkpoint's tensors into a graph as f32, checking name, shape and type. What does not
 * fit is collected, so that {@link #check()} can report everything at once before ONNX Runtime sees
 * the model.
 */
public final class GraphWeights {
  private static final Logger LOG = LoggerFactory.getLogger(GraphWeights.class);

  private final OnnxGraph graph;
  private final GraphOps ops;
  private final TensorFile source;
  private final String prefix;
  private final List<String> problems;

  public GraphWeights(OnnxGraph graph, TensorFile source) {
    this(graph, source, "", new ArrayList<>());
  }

  private GraphWeights(OnnxGraph graph, TensorFile source, String prefix, List<String> problems) {
    this.graph = graph;
    this.ops = new GraphOps(graph);
    this.source = source;
    this.prefix = prefix;
    this.problems = problems;
  }

  /** The same weights, seen from the module {@code name}. */
  public GraphWeights in(String name) {
    return new GraphWeights(graph, source, prefix + name + ".", problems);
  }

  /** Whether the checkpoint has the tensor. */
  public boolean has(String name) {
    return source.contains(prefix + name);
  }

  /**
   * Logs that a checkpoint goes on where its config says that it ends, which may be meant (CLIP
   * skip).
   */
  public void warnOfMore(String name, Object config) {
    if (has(name)) {
      LOG.warn(
          "{} has {}{}, which {} does not mention; it and all that follows is left out",
          source.source(),
          prefix,
          name,
          config);
    }
  }

  /** The tensor of this module called {@code name}, as f32 of the given shape. */
  public Value at(String name, long... dims) {
    return weight(name, true, dims);
  }

  /**
   * Rows of a table, as f32. Only the rows are converted, so that a table stored in half precision
   * stays as it is.
   *
   * @param indices i64 of any shape
   * @return [...indices, width]
   */
  public Value rows(String name, Value indices, long count, long width) {
    return ops.cast(ops.gather(weight(name, false, count, width), indices), DType.F32);
  }

  /**
   * @param f32 whether to convert all of it; 8-bit floats always are: ONNX Runtime does not know
   *     them
   */
  private Value weight(String name, boolean f32, long... dims) {
    String full = prefix + name;
    Shape expected = Shape.of(dims);
    if (!source.contains(full)) {
      problems.add(full + ": expected " + expected + ", found no such tensor");
      return new Value(full, DType.F32);
    }
    StoredTensor weight = source.tensor(full);
    if (!weight.shape().equals(expected)) {
      problems.add(
          full + " in " + weight.source() + ": expected " + expected + ", found " + weight.shape());
    } else if (!weight.dtype().isFloating()) {
      problems.add(
          full + " in " + weight.source() + ": expected floating point, found " + weight.dtype());
    }
    boolean converted = f32 || weight.dtype().bytes() == 1;
    return graph.weight(full, weight, converted ? DType.F32 : weight.dtype());
  }

  /**
   * Throws unless everything asked for was there.
   *
   * @param config the file whose sizes were expected, for the message
   */
  public void check(Object config) {
    if (problems.isEmpty()) {
      return;
    }
    int shown = Math.min(problems.size(), 12);
    String more =
        problems.size() > shown ? "\n  ... and " + (problems.size() - shown) + " more" : "";
    throw new LongAlignException(
        "the weights in "
            + source.source()
            + " do not fit "
            + config
            + ":\n  "
            + String.join("\n  ", problems.subList(0, shown))
            + more
            + "\nUse the config.json that was published with these weights, or download both again.");
  }
}
