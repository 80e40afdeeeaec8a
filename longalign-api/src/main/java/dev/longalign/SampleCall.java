package dev.longalign;

import java.awt.image.BufferedImage;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One request on its way: run it here with {@link #execute} or elsewhere with {@link #toFuture},
 * and {@link #cancel} it from any thread. A call runs once; make another one to run it again.
 */
public final class SampleCall {
  private static final Logger LOG = LoggerFactory.getLogger(SampleCall.class);

  /**
   * Samples, tells the listener what happens, hands over each picture, and asks the call between
   * steps whether to go on.
   */
  @FunctionalInterface
  interface Work {
    SampleResult run(
        SampleCall call,
        Consumer<SampleStep> onStep,
        Consumer<String> onTiles,
        Consumer<SampleResult> onPicture);
  }

  private final SampleRequest request;
  private final ProgressListener listener;
  private final Work work;
  private final Executor executor;
  private final AtomicBoolean executed = new AtomicBoolean();
  private final AtomicBoolean cancelled = new AtomicBoolean();

  SampleCall(SampleRequest request, ProgressListener listener, Work work, Executor executor) {
    this.request = request;
    this.listener = listener;
    this.work = work;
    this.executor = executor;
  }

  public SampleRequest request() {
    return request;
  }

  /**
   * Samples on this thread.
   *
   * @throws CancellationException if the call was cancelled, before or while it ran
   * @throws LongAlignException if it fails; the message says why
   * @throws IllegalStateException if this call has been run already
   */
  public SampleResult execute() {
    claim();
    return run();
  }

  /**
   * Samples on this thread and hands over each picture as soon as it is decoded, so that what is
   * done can be saved even if the rest is cancelled or fails, and need not stay in memory:
   *
   * <pre>{@code
   * longAlign.newCall(request).execute(
   *     picture -> picture.save(directory.resolve(picture.seeds().get(0) + ".png")));
   * }</pre>
   *
   * @param onPicture gets a result with one picture, its seed and its share of the time, in the
   *     order of the seeds, on this thread; what it throws ends the call
   * @return the whole, with no pictures in it
   * @throws CancellationException as {@link #execute()}, as are the others
   */
  public SampleResult execute(Consumer<SampleResult> onPicture) {
    claim();
    return run(onPicture, UnaryOperator.identity());
  }

  /**
   * Samples on a thread of the engine. Cancelling the future cancels the call.
   *
   * @throws IllegalStateException if this call has been run already
   */
  public CompletableFuture<SampleResult> toFuture() {
    claim();
    CompletableFuture<SampleResult> future = new CompletableFuture<>();
    // Returns a copy that nobody needs; the listener stays with the future itself.
    CompletableFuture<SampleResult> unused =
        future.whenComplete(
            (result, failure) -> {
              if (future.isCancelled()) {
                cancel();
              }
            });
    Runnable running =
        () -> {
          try {
            future.complete(run());
          } catch (CancellationException e) {
            future.cancel(false);
          } catch (Throwable e) { // the future is the only one who can tell
            future.completeExceptionally(e);
          }
        };
    try {
      executor.execute(running);
    } catch (RejectedExecutionException e) {
      running.run(); // the engine has been closed; it says so at once
    }
    return future;
  }

  /** Ends the call before its next step, or before it begins. Does nothing once it has ended. */
  public void cancel() {
    cancelled.set(true);
  }

  public boolean isCancelled() {
    return cancelled.get();
  }

  public boolean isExecuted() {
    return executed.get();
  }

  /**
   * @throws CancellationException if this call has been cancelled
   */
  void checkCancelled() {
    if (cancelled.get()) {
      throw new CancellationException("the call was cancelled");
    }
  }

  private void claim() {
    if (!executed.compareAndSet(false, true)) {
      throw new IllegalStateException(
          "this call has been run already; make a new one with newCall(call.request())");
    }
  }

  private SampleResult run() {
    List<BufferedImage> images = new ArrayList<>();
    return run(
        picture -> images.add(picture.image()),
        whole ->
            new SampleResult(
                images,
                whole.request(),
                whole.encoding(),
                whole.provenance(),
                whole.timings(),
                whole.tiled()));
  }

  private SampleResult run(Consumer<SampleResult> onPicture, UnaryOperator<SampleResult> finish) {
    tell(l -> l.onStart(request));
    try {
      checkCancelled();
      SampleResult result =
          finish.apply(
              work.run(
                  this,
                  step -> tell(l -> l.onStep(step)),
                  message -> tell(l -> l.onTiles(message)),
                  onPicture));
      tell(l -> l.onEnd(result));
      return result;
    } catch (Throwable e) {
      tell(l -> l.onFailure(e));
      throw e;
    }
  }

  private void tell(Consumer<ProgressListener> event) {
    try {
      event.accept(listener);
    } catch (RuntimeException e) {
      LOG.warn("a progress listener failed; sampling goes on", e);
    }
  }
}
