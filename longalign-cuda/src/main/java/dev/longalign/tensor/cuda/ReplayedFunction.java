package dev.longalign.tensor.cuda;

import static dev.longalign.tensor.cuda.CudaDriver.check;
import static jcuda.driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED;
import static jcuda.driver.JCudaDriver.cuGraphDestroy;
import static jcuda.driver.JCudaDriver.cuGraphExecDestroy;
import static jcuda.driver.JCudaDriver.cuGraphInstantiate;
import static jcuda.driver.JCudaDriver.cuGraphLaunch;
import static jcuda.driver.JCudaDriver.cuStreamBeginCapture;
import static jcuda.driver.JCudaDriver.cuStreamEndCapture;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.ScopedResource;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorFunction;
import dev.longalign.tensor.TensorScope;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import jcuda.driver.CUgraph;
import jcuda.driver.CUgraphExec;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A function that is launched as a whole: a step of the UNet is many hundred kernels, and enqueuing
 * them one by one takes longer than some of them run. For each signature of operands the first call
 * runs as written, in the arena, which loads kernels and reserves memory; the second is captured as
 * a CUDA graph, and so is the first if another function has had this signature, since it will have
 * been the same model. That call and all later ones copy the operands to where the graph expects
 * them, launch it, and copy its result away. Callers hold the backend's lock.
 */
final class ReplayedFunction extends ScopedResource implements TensorFunction {
  private static final Logger LOG = LoggerFactory.getLogger(ReplayedFunction.class);

  private record Operand(DType dtype, Shape shape) {
    static List<Operand> of(Tensor[] tensors) {
      return Arrays.stream(tensors).map(x -> new Operand(x.dtype(), x.shape())).toList();
    }
  }

  /** A graph, and where it reads its operands and leaves its result. */
  private record Captured(
      CUgraphExec graph, long[] operands, long result, Operand type, OperationLog.Recorded work) {}

  private final CudaContext context;
  private final Transfers transfers;
  private final TensorFunction body;

  /** Signatures that a function of this backend has run as written; */
  private final Set<Object> known;

  /** and this function. */
  private final Set<List<Operand>> seen = new HashSet<>();

  private final Map<List<Operand>, Captured> graphs = new HashMap<>();
  private boolean refused;

  ReplayedFunction(
      CudaContext context, Transfers transfers, Set<Object> known, TensorFunction body) {
    this.known = known;
    this.context = context;
    this.transfers = transfers;
    this.body = body;
    context.memory().holdArena();
  }

  @Override
  public Tensor apply(Tensor... operands) {
    if (!isAlive()) {
      throw new LongAlignException(
          "this repeated function belongs to a TensorScope that is closed");
    }
    if (refused) {
      return body.apply(operands);
    }
    List<Operand> signature = Operand.of(operands);
    Captured captured = graphs.get(signature);
    if (captured == null) {
      if (known.add(signature)) {
        seen.add(signature);
        return inArena(operands);
      }
      try {
        captured = capture(operands);
      } catch (LongAlignException e) {
        if (seen.add(signature)) {
          LOG.debug("This computation runs as written before it is captured: {}", e.getMessage());
          return inArena(operands);
        }
        LOG.warn(
            "This computation cannot be captured as a CUDA graph; it runs without one: {}",
            e.getMessage());
        refused = true;
        return body.apply(operands);
      }
      graphs.put(signature, captured);
    }
    return launch(captured, operands);
  }

  private Tensor inArena(Tensor[] operands) {
    try (TensorScope scope = TensorScope.open()) {
      Tensor y;
      context.memory().enterArena();
      try {
        y = body.apply(operands);
      } finally {
        context.memory().leaveArena();
      }
      return scope.keep(copied(context.address(y), new Operand(y.dtype(), y.shape())));
    }
  }

  private Captured capture(Tensor[] operands) {
    context.memory().enterArena();
    try (TensorScope scope = TensorScope.open()) {
      Tensor[] fixed = Arrays.stream(operands).map(context::allocateLike).toArray(Tensor[]::new);
      CUgraph graph = new CUgraph();
      // Relaxed: other threads may allocate, load and wait while this one captures.
      check(
          cuStreamBeginCapture(context.device().stream(), CU_STREAM_CAPTURE_MODE_RELAXED),
          "capturing");
      context.log().startRecording();
      Tensor y = null;
      int ended;
      OperationLog.Recorded work;
      try {
        y = context.device().capturing(() -> body.apply(fixed));
      } finally {
        work = context.log().stopRecording();
        ended = cuStreamEndCapture(context.device().stream(), graph);
        if (y == null) {
          cuGraphDestroy(graph);
        }
      }
      check(ended, "capturing");
      CUgraphExec executable = new CUgraphExec();
      int instantiated = cuGraphInstantiate(executable, graph, 0);
      cuGraphDestroy(graph);
      check(instantiated, "instantiating a graph");
      LOG.debug("Captured {} as a CUDA graph", Operand.of(operands));
      return new Captured(
          executable,
          Arrays.stream(fixed).mapToLong(context::address).toArray(),
          context.address(y),
          new Operand(y.dtype(), y.shape()),
          work);
    } finally {
      context.memory().leaveArena();
    }
  }

  private Tensor launch(Captured captured, Tensor[] operands) {
    return context
        .log()
        .measure(
            "replay",
            () -> {
              for (int i = 0; i < operands.length; i++) {
                transfers.copy(
                    context.address(operands[i]), captured.operands[i], bytes(operands[i]));
              }
              check(cuGraphLaunch(captured.graph, context.device().stream()), "a captured step");
              context.log().ran(captured.work);
              return copied(captured.result, captured.type);
            });
  }

  private Tensor copied(long from, Operand type) {
    Tensor y = context.allocate(type.dtype, type.shape);
    transfers.copy(from, context.address(y), bytes(y));
    return y;
  }

  private static long bytes(Tensor x) {
    return x.shape().size() * x.dtype().bytes();
  }

  /**
   * A graph that still runs is freed when it has ended; the arena's next user is enqueued later.
   */
  @Override
  protected void release() {
    if (!context.memory().isClosed() && !graphs.isEmpty()) {
      context.device().makeCurrent();
      graphs.values().forEach(captured -> cuGraphExecDestroy(captured.graph));
    }
    context.memory().releaseArena();
  }
}
