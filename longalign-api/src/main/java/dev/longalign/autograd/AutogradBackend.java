package dev.longalign.autograd;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.Activation;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Conv2dGeometry;
import dev.longalign.tensor.Conv2dWeight;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Epilogue;
import dev.longalign.tensor.GradientOps;
import dev.longalign.tensor.LinearWeight;
import dev.longalign.tensor.MemoryUse;
import dev.longalign.tensor.OperationCost;
import dev.longalign.tensor.PreferenceGradient;
import dev.longalign.tensor.ReweightedTexts;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import dev.longalign.tensor.TrainingOps;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Function;
import java.util.function.Supplier;

/**
 * A backend that computes with another one and records what leads from {@linkplain #variable
 * variables} to results, so that {@link #backward} can go the same way back. Models run on it
 * unchanged; load them on it. What leads from no variable is not recorded, and a gradient that
 * leads to none is not computed: a frozen weight costs nothing but the product with it.
 *
 * <pre>{@code
 * AutogradBackend autograd = new AutogradBackend(cpu, true);
 * try (TensorScope scope = TensorScope.open()) {
 *   Tensor w = autograd.variable(Tensor.of(autograd, Shape.of(4, 8), values));
 *   Tensor loss = x.linear(w, null).meanSquaredError(target);
 *   Tensor dw = autograd.backward(loss).of(w);
 * }
 * }</pre>
 *
 * Thread-safe; a graph belongs to the thread that records it. Tensors of the wrapped backend may be
 * operands: they are constants.
 */
public final class AutogradBackend implements Backend {
  private final Backend inner;
  private final boolean checkpoints;
  private final Recorder recorder;
  private final Derivatives derivatives;
  private final TrainingOps training;
  private final List<Replayable> replayables = new CopyOnWriteArrayList<>();

  /**
   * @param inner computes; closed by {@link #close}
   * @param checkpoints whether the blocks that models mark are computed again in the backward pass
   *     instead of being kept
   */
  public AutogradBackend(Backend inner, boolean checkpoints) {
    this.inner = inner;
    this.checkpoints = checkpoints;
    this.recorder = new Recorder(this, inner);
    this.derivatives = new Derivatives(inner, inner.gradients());
    this.training = new AutogradTraining(recorder, derivatives, inner.training());
  }

  // ---- variables and gradients

  /** The backend that computes. */
  public Backend inner() {
    return inner;
  }

  /**
   * The same values as a variable: something that gradients are wanted for. They share memory, and
   * what changes the values in place ({@link TrainingOps#adamW}) changes both.
   */
  public Tensor variable(Tensor x) {
    return recorder.wrap(x, Node.variable(x));
  }

  /** The same values as a constant: no gradient goes back through it. */
  public Tensor detach(Tensor x) {
    return recorder.wrap(x, null);
  }

  /** Whether a gradient can go back from x. */
  public boolean leadsFromVariable(Tensor x) {
    return recorder.node(x) != null;
  }

  /** Until it is closed, nothing that this thread computes is recorded. */
  public NoGradient noGradient() {
    return recorder.pause();
  }

  /** Ends {@link #noGradient()}. */
  @FunctionalInterface
  public interface NoGradient extends AutoCloseable {
    @Override
    void close();
  }

  /** The gradients of a scalar with respect to all variables that led to it. */
  public Gradients backward(Tensor loss) {
    if (loss.shape().size() != 1) {
      throw new LongAlignException(
          "backward: expected a scalar, found " + loss + "; give its gradient too");
    }
    float[] one = {1};
    try (TensorScope scope = TensorScope.open()) {
      Tensor dy = Tensor.of(inner, loss.shape(), one).cast(loss.dtype());
      return backward(loss, dy, scope);
    }
  }

  /**
   * The gradients of {@code sum(y * dy)}: goes back from y with the gradient dy. Frees the graph on
   * its way.
   */
  public Gradients backward(Tensor y, Tensor dy) {
    if (!dy.shape().equals(y.shape())) {
      throw new LongAlignException("backward: the gradient is " + dy + " for a result " + y);
    }
    try (TensorScope scope = TensorScope.open()) {
      // A copy: the pass owns and may change what it is given.
      return backward(y, recorder.in(dy).scale(1), scope);
    }
  }

  private Gradients backward(Tensor y, Tensor dy, TensorScope scope) {
    Node node = recorder.node(y);
    if (node == null) {
      throw new LongAlignException(
          "backward: no variable leads to " + y + "; was it computed under noGradient()?");
    }
    try (BackwardPass pass = new BackwardPass(inner)) {
      pass.add(new Node.Input(node, y.offset(), y.shape()), dy, null);
      pass.run();
      Gradients gradients = pass.results(this);
      gradients.keepIn(scope);
      return gradients;
    }
  }

  // ---- checkpoints

  boolean checkpoints() {
    return checkpoints;
  }

  /** From now on checkpointed blocks restore this source of randomness before they run again. */
  public void replay(Replayable source) {
    replayables.add(source);
  }

  List<Replayable> replayables() {
    return replayables;
  }

  long[] randomStates() {
    return replayables.stream().mapToLong(Replayable::state).toArray();
  }

  Tensor checkpoint(Function<Tensor[], Tensor> block, Tensor... inputs) {
    if (recorder.isPaused()) {
      return block.apply(inputs);
    }
    Tensor[] own = new Tensor[inputs.length];
    Arrays.setAll(own, i -> inputs[i] == null ? null : recorder.own(inputs[i]));
    long[] states = randomStates();
    Recorder.Watch watch = recorder.watch();
    Tensor y;
    try (watch) {
      y = block.apply(own);
    }
    return watch.sawVariable()
        ? recorder.wrap(y, Node.checkpoint(y, new CheckpointedBlock(this, block, own, states)))
        : y;
  }

  // ---- the backend itself

  @Override
  public String name() {
    return "autograd over " + inner.name();
  }

  @Override
  public boolean supports(DType dtype) {
    return inner.supports(dtype);
  }

  @Override
  public MemoryUse memory() {
    return inner.memory();
  }

  @Override
  public void synchronize() {
    inner.synchronize();
  }

  @Override
  public void resetPeakMemory() {
    inner.resetPeakMemory();
  }

  @Override
  public void limitMemory(long bytes) {
    inner.limitMemory(bytes);
  }

  @Override
  public long freeMemory() {
    return inner.freeMemory();
  }

  @Override
  public <T> T withinFreeMemory(Supplier<T> work) {
    return inner.withinFreeMemory(work);
  }

  @Override
  public Map<String, OperationCost> costs() {
    return inner.costs();
  }

  @Override
  public double roofGflops() {
    return inner.roofGflops();
  }

  @Override
  public Tensor upload(ByteBuffer elements, DType dtype, Shape shape) {
    return recorder.result(inner.upload(elements, dtype, shape));
  }

  @Override
  public void download(Tensor x, float[] into) {
    inner.download(recorder.in(x), into);
  }

  @Override
  public Tensor zeros(DType dtype, Shape shape) {
    return recorder.result(inner.zeros(dtype, shape));
  }

  @Override
  public Tensor cast(Tensor x, DType dtype) {
    return recorder.record(
        inner.cast(recorder.in(x), dtype), derivatives.cast(x.dtype()), Recorder.list(x));
  }

  @Override
  public LinearWeight packLinear(Tensor weight, Tensor bias, DType dtype) {
    return inner.packLinear(recorder.frozen(weight), recorder.frozen(bias), dtype);
  }

  @Override
  public LinearWeight packGeglu(Tensor weight, Tensor bias, DType dtype) {
    return inner.packGeglu(recorder.frozen(weight), recorder.frozen(bias), dtype);
  }

  @Override
  public Conv2dWeight packConv2d(Tensor weight, Tensor bias, Conv2dGeometry geometry, DType dtype) {
    return inner.packConv2d(recorder.frozen(weight), recorder.frozen(bias), geometry, dtype);
  }

  @Override
  public Tensor linear(Tensor x, LinearWeight weight, Epilogue e) {
    Tensor[] inputs = Recorder.list(x, e.channelBias(), e.residual());
    if (e.activation() != Activation.NONE && recorder.wants(inputs)) {
      return finish(linear(x, weight, Epilogue.channelBias(e.channelBias())), e);
    }
    Tensor y = inner.linear(recorder.in(x), weight, in(e));
    return recorder.record(y, derivatives.linear(weight), inputs);
  }

  @Override
  public Tensor geglu(Tensor x, LinearWeight packed) {
    Tensor y = inner.geglu(recorder.in(x), packed);
    return recorder.record(y, derivatives.geglu(packed), Recorder.list(x), x);
  }

  @Override
  public Tensor conv2d(Tensor x, Conv2dWeight weight, Epilogue e) {
    Tensor[] inputs = Recorder.list(x, e.channelBias(), e.residual());
    if (e.activation() != Activation.NONE && recorder.wants(inputs)) {
      return finish(conv2d(x, weight, Epilogue.channelBias(e.channelBias())), e);
    }
    Tensor y = inner.conv2d(recorder.in(x), weight, in(e));
    return recorder.record(y, derivatives.conv2d(weight, x.shape()), inputs);
  }

  /** The rest of an epilogue, not fused: the derivative needs what goes into the activation. */
  private static Tensor finish(Tensor sum, Epilogue e) {
    try (TensorScope scope = TensorScope.open()) {
      scope.adopt(sum);
      Tensor y = sum.activation(e.activation());
      return scope.keep(e.residual() == null ? y : y.add(e.residual()));
    }
  }

  private Epilogue in(Epilogue e) {
    return new Epilogue(
        e.activation(), recorder.inOrNull(e.channelBias()), recorder.inOrNull(e.residual()));
  }

  @Override
  public Tensor matmul(Tensor a, Tensor b, boolean transposeB) {
    Tensor y = inner.matmul(recorder.in(a), recorder.in(b), transposeB);
    return recorder.record(
        y,
        derivatives.matmul(transposeB),
        Recorder.list(a, b),
        recorder.ifWanted(b, a),
        recorder.ifWanted(a, b));
  }

  @Override
  public Tensor attention(Tensor q, Tensor k, Tensor v, int heads, float scale) {
    Tensor y = inner.attention(recorder.in(q), recorder.in(k), recorder.in(v), heads, scale);
    return recorder.record(y, derivatives.attention(heads, scale), Recorder.list(q, k, v), q, k, v);
  }

  @Override
  public Tensor groupNorm(
      Tensor x, int groups, Tensor gamma, Tensor beta, float eps, Activation activation) {
    Tensor y =
        inner.groupNorm(
            recorder.in(x), groups, recorder.in(gamma), recorder.in(beta), eps, activation);
    return recorder.record(
        y,
        derivatives.groupNorm(groups, eps, activation),
        Recorder.list(x, gamma, beta),
        x,
        gamma,
        beta);
  }

  @Override
  public Tensor layerNorm(Tensor x, Tensor gamma, Tensor beta, float eps) {
    Tensor y = inner.layerNorm(recorder.in(x), recorder.in(gamma), recorder.in(beta), eps);
    return recorder.record(y, derivatives.layerNorm(eps), Recorder.list(x, gamma, beta), x, gamma);
  }

  @Override
  public Tensor activation(Tensor x, Activation activation) {
    Tensor y = inner.activation(recorder.in(x), activation);
    return recorder.record(y, derivatives.activation(activation), Recorder.list(x), x);
  }

  @Override
  public Tensor gatedGelu(Tensor x) {
    Tensor y = inner.gatedGelu(recorder.in(x));
    return recorder.record(y, derivatives.gatedGelu(), Recorder.list(x), x);
  }

  @Override
  public Tensor linearCombination(float[] coefficients, Tensor... xs) {
    Tensor y = inner.linearCombination(coefficients, recorder.in(xs));
    return recorder.record(y, derivatives.linearCombination(coefficients.clone()), xs);
  }

  @Override
  public Tensor clamp(Tensor x, float low, float high) {
    Tensor y = inner.clamp(recorder.in(x), low, high);
    return recorder.record(y, derivatives.clamp(low, high), Recorder.list(x), x);
  }

  /** A view; gradients know which part of a value they belong to, so views are not recorded. */
  @Override
  public Tensor reshape(Tensor x, Shape shape) {
    return new Tensor(this, x.storage(), x.offset(), x.dtype(), shape);
  }

  /** A view, like {@link #reshape}. */
  @Override
  public Tensor rows(Tensor x, long from, long to) {
    long row = x.shape().dim(0) == 0 ? 0 : x.shape().size() / x.shape().dim(0);
    return new Tensor(
        this, x.storage(), x.offset() + from * row, x.dtype(), x.shape().with(0, to - from));
  }

  @Override
  public Tensor concat(int axis, Tensor... xs) {
    long[] extents = Arrays.stream(xs).mapToLong(x -> x.shape().dim(axis)).toArray();
    Tensor y = inner.concat(axis, recorder.in(xs));
    return recorder.record(y, derivatives.concat(axis, extents), xs);
  }

  @Override
  public Tensor upsampleNearest(Tensor x, int height, int width) {
    Tensor y = inner.upsampleNearest(recorder.in(x), height, width);
    return recorder.record(y, derivatives.upsampleNearest(x.dim(1), x.dim(2)), Recorder.list(x));
  }

  /** Of frozen encoders' outputs: these are constants. */
  @Override
  public Tensor segmentConcat(
      Tensor hidden,
      int[][] ids,
      int[] segmentsPerCaption,
      int eosId,
      int padId,
      Tensor padEmbedding,
      int tokenLength) {
    return recorder.result(
        inner.segmentConcat(
            recorder.frozen(hidden),
            ids,
            segmentsPerCaption,
            eosId,
            padId,
            recorder.frozen(padEmbedding),
            tokenLength));
  }

  /** Of frozen encoders' outputs, like {@link #segmentConcat}. */
  @Override
  public ReweightedTexts reweight(Tensor texts, Tensor direction, float omega) {
    ReweightedTexts y = inner.reweight(recorder.frozen(texts), recorder.frozen(direction), omega);
    return new ReweightedTexts(
        direction == null ? recorder.result(y.direction()) : direction,
        recorder.result(y.eta()),
        recorder.result(y.texts()));
  }

  /** Is a gradient already; its inputs are constants. */
  @Override
  public PreferenceGradient preferenceGradient(Tensor texts, Tensor images) {
    PreferenceGradient y =
        inner.preferenceGradient(recorder.frozen(texts), recorder.frozen(images));
    return new PreferenceGradient(recorder.result(y.scores()), recorder.result(y.gradient()));
  }

  @Override
  public TrainingOps training() {
    return training;
  }

  /**
   * @throws LongAlignException always: derivatives are not differentiated again
   */
  @Override
  public GradientOps gradients() {
    throw new LongAlignException(
        name() + ": second derivatives are not computed; use inner().gradients()");
  }

  /** Closes the wrapped backend. */
  @Override
  public void close() {
    inner.close();
  }
}
