package dev.longalign.data;

import dev.longalign.LongAlignException;
import java.io.UncheckedIOException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Loads examples ahead of the consumer, a bounded number, and hands them out in order: the queue
 * holds one task per place of the order, whoever runs it.
 */
final class Prefetcher<E> implements AutoCloseable {
  private static final AtomicInteger COUNT = new AtomicInteger();

  /** What came of one place: an example, or why there is none. */
  record Loaded<E>(long epoch, long index, E example, Skip skip) {}

  private final Dataset<E> dataset;
  private final DataOrder order;
  private final long epochs;
  private final int ahead;
  private final ExecutorService threads;
  private final Deque<FutureTask<Loaded<E>>> queue = new ArrayDeque<>();
  private DataPosition submit;
  private DataOrder.Epoch places;
  private volatile boolean closed;

  Prefetcher(
      Dataset<E> dataset,
      DataOrder order,
      DataPosition start,
      long epochs,
      int threads,
      int ahead) {
    this.dataset = dataset;
    this.order = order;
    this.epochs = epochs;
    this.ahead = threads == 0 ? 1 : ahead;
    this.submit = start;
    this.threads = threads == 0 ? null : pool(threads);
  }

  private static ExecutorService pool(int threads) {
    int pool = COUNT.incrementAndGet();
    AtomicInteger thread = new AtomicInteger();
    return Executors.newFixedThreadPool(
        threads,
        task -> {
          Thread worker = new Thread(task, "data-" + pool + "-" + thread.incrementAndGet());
          worker.setDaemon(true);
          return worker;
        });
  }

  /** The next place of the order; null behind the last epoch. */
  Loaded<E> take() {
    if (closed) {
      throw new LongAlignException("the data loader of " + dataset.source() + " is closed");
    }
    fill();
    FutureTask<Loaded<E>> first = queue.poll();
    if (first == null) {
      return null;
    }
    try {
      return first.get();
    } catch (InterruptedException interrupted) {
      queue.addFirst(first); // its place is not lost
      Thread.currentThread().interrupt();
      throw new LongAlignException("interrupted while waiting for data", interrupted);
    } catch (ExecutionException failed) {
      if (failed.getCause() instanceof Error error) {
        throw error;
      }
      throw new LongAlignException(
          dataset.source() + ": loading failed: " + failed.getCause(), failed.getCause());
    }
  }

  private void fill() {
    while (queue.size() < ahead && submit.epoch() < epochs) {
      long epoch = submit.epoch();
      long index = submit.index();
      if (places == null || index == 0) {
        places = order.epoch(epoch);
      }
      long example = places.at(index);
      FutureTask<Loaded<E>> task = new FutureTask<>(() -> load(epoch, index, example));
      queue.add(task);
      if (threads == null) {
        task.run();
      } else {
        threads.execute(task);
      }
      submit = order.after(epoch, index);
    }
  }

  private Loaded<E> load(long epoch, long index, long example) {
    if (closed) {
      return new Loaded<>(epoch, index, null, new Skip(epoch, example, "closed"));
    }
    try {
      return new Loaded<>(epoch, index, dataset.example(example), null);
    } catch (LongAlignException | UncheckedIOException unusable) {
      String reason = String.valueOf(unusable.getMessage());
      return new Loaded<>(epoch, index, null, new Skip(epoch, example, reason));
    }
  }

  /** Waits for what is being loaded; nothing is interrupted, since that would close files. */
  @Override
  public void close() {
    closed = true;
    queue.clear();
    if (threads == null) {
      return;
    }
    threads.shutdown();
    boolean interrupted = false;
    while (true) {
      try {
        if (threads.awaitTermination(1, TimeUnit.MINUTES)) {
          break;
        }
      } catch (InterruptedException again) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
