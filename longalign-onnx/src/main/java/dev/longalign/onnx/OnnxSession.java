package dev.longalign.onnx;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OnnxTensorLike;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.providers.OrtCUDAProviderOptions;
import dev.longalign.LongAlignException;
import dev.longalign.onnx.graph.OnnxGraph;
import dev.longalign.tensor.Device;
import java.nio.FloatBuffer;
import java.nio.LongBuffer;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * An {@link OnnxGraph} opened by ONNX Runtime. Thread-safe; runs of several threads proceed side by
 * side, and {@link #close()} waits for those under way.
 */
final class OnnxSession implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(OnnxSession.class);

  private final String description;
  private final OrtSession session;
  private final Map<String, OnnxTensorLike> weights;
  private final String arenas;
  private final ReadWriteLock lock = new ReentrantReadWriteLock();
  private boolean closed;

  private OnnxSession(
      String description, OrtSession session, Map<String, OnnxTensorLike> weights, String arenas) {
    this.description = description;
    this.session = session;
    this.weights = weights;
    this.arenas = arenas;
  }

  /**
   * Opens a graph.
   *
   * @param weights the graph's checkpoint, which outlives the session
   * @param description what errors call the model
   * @param threads used by one run; 0 for one per core
   * @param device that {@link OnnxRuntime#usable} has returned
   */
  static OnnxSession open(
      OnnxGraph graph, OnnxWeights weights, String description, int threads, Device device) {
    if (threads < 0) {
      throw new LongAlignException(
          "expected a number of threads, or 0 for one per core, found " + threads);
    }
    OrtEnvironment environment = OnnxRuntime.environment();
    try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
      configure(options, threads);
      boolean cuda = device.kind().equals("cuda") && addCuda(options, device, description);
      Map<String, OnnxTensorLike> tensors = weights.of(graph);
      if (cuda && !tensors.isEmpty()) {
        options.addExternalInitializers(tensors); // copied to the device once
      }
      OrtSession session = environment.createSession(graph.toBytes(!cuda), options);
      return cuda
          ? new OnnxSession(description, session, Map.of(), "cpu:0;gpu:" + device.index())
          : new OnnxSession(description, session, tensors, "cpu:0");
    } catch (OrtException e) {
      throw new LongAlignException(
          "ONNX Runtime cannot open "
              + description
              + ": "
              + e.getMessage()
              + ". If memory ran out, try again with more.",
          e);
    }
  }

  /**
   * Whether the session will run there; its libraries may be missing although the provider is not.
   */
  private static boolean addCuda(
      OrtSession.SessionOptions options, Device device, String description) {
    try (OrtCUDAProviderOptions cuda = new OrtCUDAProviderOptions(device.index())) {
      cuda.add("use_tf32", "0"); // as everywhere here: f32 is f32
      options.addCUDA(cuda);
      return true;
    } catch (OrtException e) {
      LOG.warn(
          "{} runs on the CPU: ONNX Runtime's CUDA provider does not start: {}",
          description,
          e.getMessage());
      return false;
    }
  }

  private static void configure(OrtSession.SessionOptions options, int threads)
      throws OrtException {
    options.setOptimizationLevel(OrtSession.SessionOptions.OptLevel.ALL_OPT);
    options.setExecutionMode(OrtSession.SessionOptions.ExecutionMode.SEQUENTIAL);
    options.setInterOpNumThreads(1);
    options.setIntraOpNumThreads(threads);
    options.setSessionLogLevel(OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR);
    // Lengths and batches differ from call to call, so that a plan made for one would only hold
    // memory.
    options.setMemoryPatternOptimization(false);
    // Encoders run for moments between long UNet steps: idle threads must not spin on the UNet's
    // cores.
    options.addConfigEntry("session.intra_op.allow_spinning", "0");
    // Packing would copy every weight to save some percent of a short run.
    options.addConfigEntry("session.disable_prepacking", "1");
  }

  /** An input by values, row-major, and shape; creates the tensor that a run reads. */
  record Input(long[] shape, Creation creation) {
    /** Makes an ONNX tensor. */
    interface Creation {
      OnnxTensor create(OrtEnvironment environment, long[] shape) throws OrtException;
    }

    static Input of(LongBuffer values, long... shape) {
      return new Input(shape, (e, dims) -> OnnxTensor.createTensor(e, values, dims));
    }

    static Input of(FloatBuffer values, long... shape) {
      return new Input(shape, (e, dims) -> OnnxTensor.createTensor(e, values, dims));
    }
  }

  /**
   * Runs a graph with one i64 input and one f32 output.
   *
   * @param ids row-major values of a tensor of the given shape
   * @param last whether to give back the memory that runs keep for the next one
   * @return the output's values, row-major
   */
  float[] run(String input, LongBuffer ids, long[] shape, boolean last) {
    return run(Map.of(input, Input.of(ids, shape)), last).values().iterator().next();
  }

  /**
   * Runs a graph with f32 outputs.
   *
   * @param inputs by name
   * @param last whether to give back the memory that runs keep for the next one
   * @return the outputs' values, row-major, by name in the graph's order
   */
  Map<String, float[]> run(Map<String, Input> inputs, boolean last) {
    lock.readLock().lock();
    Map<String, OnnxTensor> tensors = new LinkedHashMap<>();
    try {
      if (closed) {
        throw new IllegalStateException(description + " is closed");
      }
      for (Map.Entry<String, Input> entry : inputs.entrySet()) {
        Input input = entry.getValue();
        tensors.put(
            entry.getKey(), input.creation().create(OnnxRuntime.environment(), input.shape()));
      }
      try (OrtSession.RunOptions options = new OrtSession.RunOptions()) {
        if (last) {
          options.addRunConfigEntry("memory.enable_memory_arena_shrinkage", arenas);
        }
        Map<String, OnnxTensorLike> all = new LinkedHashMap<>(weights);
        all.putAll(tensors);
        try (OrtSession.Result result = session.run(all, options)) {
          Map<String, float[]> outputs = new LinkedHashMap<>();
          result.forEach(
              output ->
                  outputs.put(
                      output.getKey(), ((OnnxTensor) output.getValue()).getFloatBuffer().array()));
          return outputs;
        }
      }
    } catch (OrtException e) {
      throw new LongAlignException(
          "ONNX Runtime failed to run " + description + ": " + e.getMessage(), e);
    } finally {
      tensors.values().forEach(OnnxTensor::close);
      lock.readLock().unlock();
    }
  }

  @Override
  public void close() {
    lock.writeLock().lock();
    try {
      if (!closed) {
        closed = true;
        session.close();
      }
    } catch (OrtException e) {
      throw new LongAlignException(
          "ONNX Runtime failed to close " + description + ": " + e.getMessage(), e);
    } finally {
      lock.writeLock().unlock();
    }
  }
}
