package dev.longalign.onnx;

import dev.longalign.onnx.graph.OnnxGraph;
import dev.longalign.tensor.Device;
import java.util.function.Supplier;

/** A session that is opened when it is first asked for. Thread-safe. */
final class LazySession implements AutoCloseable {
  private final String description;
  private final int threads;
  private final Device device;
  private final OnnxWeights weights;
  private final Supplier<OnnxGraph> graph;
  private OnnxSession session;
  private boolean closed;

  LazySession(
      String description,
      int threads,
      Device device,
      OnnxWeights weights,
      Supplier<OnnxGraph> graph) {
    this.description = description;
    this.threads = threads;
    this.device = device;
    this.weights = weights;
    this.graph = graph;
  }

  /**
   * @throws IllegalStateException after {@link #close()}
   */
  synchronized OnnxSession get() {
    if (closed) {
      throw new IllegalStateException(description + " is closed");
    }
    if (session == null) {
      session = OnnxSession.open(graph.get(), weights, description, threads, device);
    }
    return session;
  }

  @Override
  public synchronized void close() {
    closed = true;
    if (session != null) {
      session.close();
      session = null;
    }
  }
}
