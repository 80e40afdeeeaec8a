package dev.longalign.autograd;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;

/** Wraps and unwraps tensors, and decides what is recorded. */
final class Recorder {
  private final AutogradBackend outer;
  private final Backend inner;
  private final ThreadLocal<State> state = ThreadLocal.withInitial(State::new);

  /** Of one thread. */
  private static final class State {
    private int paused;
    private boolean sawVariable;
  }

  Recorder(AutogradBackend outer, Backend inner) {
    this.outer = outer;
    this.inner = inner;
  }

  static Tensor[] list(Tensor... tensors) {
    return tensors;
  }

  // ---- tensors

  /** The tensor of the wrapped backend. */
  Tensor in(Tensor x) {
    if (x.backend() == outer) {
      return TapeStorage.of(x).view(x.offset(), x.shape());
    }
    if (x.backend() == inner) {
      return x;
    }
    throw new LongAlignException(
        x + " belongs to " + x.backend().name() + ", not to " + outer.name());
  }

  Tensor inOrNull(Tensor x) {
    return x == null ? null : in(x);
  }

  Tensor[] in(Tensor[] xs) {
    Tensor[] unwrapped = new Tensor[xs.length];
    for (int i = 0; i < xs.length; i++) {
      unwrapped[i] = in(xs[i]);
    }
    return unwrapped;
  }

  /** Like {@link #inOrNull}, for what can be a constant only. */
  Tensor frozen(Tensor x) {
    if (x != null && node(x) != null) {
      throw new LongAlignException(
          x + " leads from a variable, but this operation has no derivative for it: detach() it");
    }
    return inOrNull(x);
  }

  /** A tensor of this backend; a constant of the wrapped one is copied. */
  Tensor own(Tensor x) {
    return x.backend() == outer ? x : result(in(x).scale(1));
  }

  Node node(Tensor x) {
    return x != null && x.backend() == outer ? TapeStorage.of(x).node() : null;
  }

  /** Takes over a new tensor of the wrapped backend, as a constant. */
  Tensor result(Tensor value) {
    return register(new TapeStorage(Held.of(value), value, null), value);
  }

  /** The same value with another origin; takes the caller's hold on the node. */
  Tensor wrap(Tensor x, Node node) {
    Tensor own = own(x);
    Tensor value = in(own);
    return register(new TapeStorage(TapeStorage.of(own).held().retain(), value, node), value);
  }

  private Tensor register(TapeStorage storage, Tensor value) {
    TensorScope.register(storage);
    return new Tensor(outer, storage, 0, value.dtype(), value.shape());
  }

  // ---- recording

  /** The value if a gradient of {@code other} is wanted, which needs it; else null. */
  Tensor ifWanted(Tensor other, Tensor value) {
    return node(other) == null ? null : value;
  }

  /** Whether a variable leads to one of these, and the thread records. */
  boolean wants(Tensor... inputs) {
    State now = state.get();
    for (Tensor input : inputs) {
      if (node(input) != null) {
        now.sawVariable = true;
        return now.paused == 0;
      }
    }
    return false;
  }

  /**
   * Takes over the result of an operation, with its derivative if one is wanted.
   *
   * @param saved of this backend or the wrapped one; null is not kept
   */
  Tensor record(Tensor value, Derivative derivative, Tensor[] inputs, Tensor... saved) {
    if (!wants(inputs)) {
      return result(value);
    }
    Node.Input[] from = new Node.Input[inputs.length];
    for (int i = 0; i < inputs.length; i++) {
      Node node = node(inputs[i]);
      from[i] = node == null ? null : new Node.Input(node, inputs[i].offset(), inputs[i].shape());
    }
    Node.Saved[] kept = new Node.Saved[saved.length];
    for (int i = 0; i < saved.length; i++) {
      if (saved[i] != null) {
        Tensor own = own(saved[i]);
        kept[i] = new Node.Saved(TapeStorage.of(own).held(), in(own));
      }
    }
    Node node = Node.operation(value, derivative, from, kept);
    return register(new TapeStorage(Held.of(value), value, node), value);
  }

  boolean isPaused() {
    return state.get().paused > 0;
  }

  AutogradBackend.NoGradient pause() {
    State now = state.get();
    now.paused++;
    return () -> now.paused--;
  }

  /** Pauses, and notices whether something would have been recorded. */
  Watch watch() {
    return new Watch(state.get());
  }

  static final class Watch implements AutoCloseable {
    private final State state;
    private final boolean before;
    private boolean saw;

    private Watch(State state) {
      this.state = state;
      this.before = state.sawVariable;
      state.sawVariable = false;
      state.paused++;
    }

    boolean sawVariable() {
      return saw;
    }

    @Override
    public void close() {
      saw = state.sawVariable;
      state.sawVariable = before | saw;
      state.paused--;
    }
  }
}
