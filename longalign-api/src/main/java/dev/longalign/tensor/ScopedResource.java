package dev.longalign.tensor;

/** Native memory that belongs to exactly one {@link TensorScope}, which frees it. */
public abstract class ScopedResource {
  private TensorScope scope;

  /** Gives the memory back; called once, by the owning scope. */
  protected abstract void release();

  final TensorScope scope() {
    return scope;
  }

  final void moveTo(TensorScope newScope) {
    scope = newScope;
  }

  /** False once the owning scope has been closed. */
  public final boolean isAlive() {
    return scope != null;
  }
}
