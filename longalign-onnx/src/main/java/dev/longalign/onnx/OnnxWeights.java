package dev.longalign.onnx;

import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OnnxTensorLike;
import ai.onnxruntime.OrtException;
import com.sun.jna.Memory;
import dev.longalign.LongAlignException;
import dev.longalign.io.StoredTensor;
import dev.longalign.onnx.graph.OnnxGraph;
import dev.longalign.onnx.graph.OnnxTypes;
import dev.longalign.tensor.DType;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The weights of one checkpoint in native memory, where ONNX Runtime reads them in place; sessions
 * of several graphs share them. They are not read from the files while graphs run: a file that is
 * cut short or written to would end the process. Thread-safe.
 */
final class OnnxWeights implements AutoCloseable {
  private final Map<String, Loaded> loaded = new LinkedHashMap<>();

  /** Native memory, not counted against Java's limit for direct buffers. */
  private record Loaded(Memory memory, DType dtype, OnnxTensor tensor) {
    void close() {
      tensor.close();
      memory.close();
    }
  }

  /**
   * The weights of a graph, by name; they live until {@link #close()}.
   *
   * @throws LongAlignException if a file has changed or memory does not suffice
   */
  synchronized Map<String, OnnxTensorLike> of(OnnxGraph graph) throws OrtException {
    Map<String, OnnxTensorLike> tensors = new LinkedHashMap<>();
    for (Map.Entry<String, OnnxGraph.Weight> entry : graph.weights().entrySet()) {
      Loaded found = loaded.get(entry.getKey());
      if (found == null) {
        found = load(entry.getValue());
        loaded.put(entry.getKey(), found);
      } else if (found.dtype() != entry.getValue().dtype()) {
        throw new IllegalStateException(entry.getKey() + " is wanted as two types");
      }
      tensors.put(entry.getKey(), found.tensor());
    }
    return tensors;
  }

  private static Loaded load(OnnxGraph.Weight weight) throws OrtException {
    StoredTensor tensor = weight.tensor();
    Memory memory = allocate(weight);
    try {
      ByteBuffer bytes = memory.getByteBuffer(0, weight.bytes()).order(ByteOrder.nativeOrder());
      if (weight.dtype() == tensor.dtype()) {
        bytes.duplicate().put(tensor.data());
      } else {
        bytes.asFloatBuffer().put(tensor.toFloats());
      }
      OnnxJavaType type = OnnxTypes.javaType(weight.dtype());
      return new Loaded(
          memory,
          weight.dtype(),
          OnnxTensor.createTensor(
              OnnxRuntime.environment(), bytes, tensor.shape().toArray(), type));
    } catch (OrtException | RuntimeException e) {
      memory.close();
      throw e;
    }
  }

  private static Memory allocate(OnnxGraph.Weight weight) {
    try {
      return new Memory(Math.max(1, weight.bytes()));
    } catch (OutOfMemoryError e) {
      throw new LongAlignException(
          weight.tensor() + ": " + weight.bytes() + " bytes of native memory are not to be had", e);
    }
  }

  /** After the sessions that use them. */
  @Override
  public synchronized void close() {
    loaded.values().forEach(Loaded::close);
    loaded.clear();
  }
}
