package dev.longalign.tensor;

import dev.longalign.LongAlignException;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.Set;

/**
 * Who frees what. Every tensor belongs to the innermost scope that was open on the thread which
 * made it, and dies with that scope:
 *
 * <pre>{@code
 * try (TensorScope scope = TensorScope.open()) {
 *   Tensor h = x.groupNorm(32, gamma, beta, 1e-5f, Activation.SILU);
 *   return scope.keep(h.conv2d(weight));   // moves to the enclosing scope
 * }
 * }</pre>
 *
 * Open scopes form a stack per thread and close in reverse order. A {@linkplain #detached()
 * detached} scope is on no stack, may be shared by threads, and holds what outlives a call:
 * weights, for example.
 */
public final class TensorScope implements AutoCloseable {
  private static final ThreadLocal<TensorScope> CURRENT = new ThreadLocal<>();

  private final TensorScope parent;
  private final Thread thread;
  private final Set<ScopedResource> resources = Collections.newSetFromMap(new IdentityHashMap<>());
  private boolean closed;

  private TensorScope(TensorScope parent, Thread thread) {
    this.parent = parent;
    this.thread = thread;
  }

  /** Opens a scope on this thread, inside the one that is open now (if any). */
  public static TensorScope open() {
    TensorScope scope = new TensorScope(CURRENT.get(), Thread.currentThread());
    CURRENT.set(scope);
    return scope;
  }

  /** A scope on no thread's stack: {@link #adopt} resources into it, close it from anywhere. */
  public static TensorScope detached() {
    return new TensorScope(null, null);
  }

  /** The innermost open scope of this thread. */
  public static TensorScope current() {
    TensorScope scope = CURRENT.get();
    if (scope == null) {
      throw new LongAlignException(
          "no TensorScope is open on thread "
              + Thread.currentThread().getName()
              + ": wrap the computation in try (TensorScope scope = TensorScope.open()) { ... }");
    }
    return scope;
  }

  /** Registers a new resource with this thread's innermost scope; backends call this. */
  public static <R extends ScopedResource> R register(R resource) {
    current().add(resource);
    return resource;
  }

  /** Moves the tensor's memory from this scope to the enclosing one. */
  public Tensor keep(Tensor tensor) {
    keep(tensor.storage());
    return tensor;
  }

  /**
   * Moves the resource from this scope to the enclosing one; what an outer scope owns stays where
   * it is.
   */
  public <R extends ScopedResource> R keep(R resource) {
    if (resource.scope() == this) {
      if (parent == null) {
        throw new LongAlignException(
            "keep: this scope has no enclosing scope; adopt into a detached one instead");
      }
      parent.adopt(resource);
    }
    return resource;
  }

  /** Moves the tensor's memory into this scope, wherever it was. */
  public Tensor adopt(Tensor tensor) {
    adopt(tensor.storage());
    return tensor;
  }

  /** Moves the resource into this scope, wherever it was. */
  public <R extends ScopedResource> R adopt(R resource) {
    TensorScope owner = resource.scope();
    if (owner == this) {
      return resource;
    }
    if (owner != null) {
      synchronized (owner.resources) {
        owner.resources.remove(resource);
      }
    }
    add(resource);
    return resource;
  }

  private void add(ScopedResource resource) {
    synchronized (resources) {
      if (closed) {
        throw new LongAlignException("this TensorScope is closed");
      }
      resources.add(resource);
      resource.moveTo(this);
    }
  }

  /** Frees everything the scope still owns. Closing twice has no effect. */
  @Override
  public void close() {
    synchronized (resources) {
      if (closed) {
        return;
      }
      if (thread != null) {
        if (CURRENT.get() != this) {
          throw new LongAlignException(
              "TensorScopes must be closed on the thread that opened them, innermost first");
        }
        if (parent == null) {
          CURRENT.remove();
        } else {
          CURRENT.set(parent);
        }
      }
      closed = true;
      for (ScopedResource resource : resources) {
        resource.moveTo(null);
        resource.release();
      }
      resources.clear();
    }
  }
}
