package dev.longalign;

import java.util.ArrayDeque;
import java.util.Deque;

/** Things that are closed together, the last one first. */
final class Resources implements AutoCloseable {
  /** Closing throws nothing that must be caught. */
  interface Closing extends AutoCloseable {
    @Override
    void close();
  }

  private final Deque<AutoCloseable> open = new ArrayDeque<>();

  <R extends AutoCloseable> R add(R resource) {
    open.push(resource);
    return resource;
  }

  void add(Closing closing) {
    open.push(closing);
  }

  @Override
  public void close() {
    RuntimeException failure = null;
    while (!open.isEmpty()) {
      try {
        open.pop().close();
      } catch (Exception e) {
        if (failure == null) {
          failure = new LongAlignException("closing failed: " + e.getMessage(), e);
        } else {
          failure.addSuppressed(e);
        }
      }
    }
    if (failure != null) {
      throw failure;
    }
  }
}
