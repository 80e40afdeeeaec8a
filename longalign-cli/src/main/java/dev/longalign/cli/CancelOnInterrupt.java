package dev.longalign.cli;

import java.util.concurrent.CancellationException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * While open, Ctrl-C (or SIGTERM) runs {@code cancel} and lets the work end at its next step, so
 * that files are whole and native memory is freed; the JVM then exits with 130 (143).
 */
final class CancelOnInterrupt implements AutoCloseable {
  private static final int PATIENCE_SECONDS = 60;

  private final CountDownLatch ended = new CountDownLatch(1);
  private final Thread hook;
  private volatile boolean interrupted;

  CancelOnInterrupt(Runnable cancel) {
    hook =
        new Thread(
            () -> {
              interrupted = true;
              cancel.run();
              try {
                ended.await(PATIENCE_SECONDS, TimeUnit.SECONDS);
              } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
              }
            },
            "longalign-cancel");
    Runtime.getRuntime().addShutdownHook(hook);
  }

  /**
   * @throws CancellationException if Ctrl-C came already
   */
  void check() {
    if (interrupted) {
      throw new CancellationException("interrupted");
    }
  }

  /** The work has ended, whichever way. */
  @Override
  public void close() {
    ended.countDown();
    try {
      Runtime.getRuntime().removeShutdownHook(hook);
    } catch (IllegalStateException e) {
      // The JVM is shutting down: the hook runs and has just been released.
    }
  }
}
