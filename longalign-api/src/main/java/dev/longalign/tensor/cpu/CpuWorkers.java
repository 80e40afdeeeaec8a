package dev.longalign.tensor.cpu;

import dev.longalign.LongAlignException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Threads that run single-threaded primitives side by side: for work that falls into many small
 * independent parts, where a barrier of all threads after each would cost more than the part.
 */
final class CpuWorkers implements AutoCloseable {

  /**
   * One thread's own: primitives are compiled for one thread, and executing one sets its arguments.
   */
  static final class Worker {
    private final CpuThreads alone = new CpuThreads(1);
    private final int number;
    private final PrimitiveCache cache;

    Worker(int number, CpuMemory memory) {
      this.number = number;
      cache = new PrimitiveCache(memory);
    }

    /** From 0 to {@link CpuWorkers#count()} - 1. */
    int number() {
      return number;
    }

    PrimitiveCache cache() {
      return cache;
    }
  }

  /** A part of the work. */
  interface Part {
    void run(Worker worker, int index);
  }

  private final CpuThreads together;
  private final ExecutorService executor;
  private final List<Worker> workers = new ArrayList<>();

  CpuWorkers(CpuMemory memory, CpuThreads together) {
    this.together = together;
    int threads = together.count();
    for (int i = 0; i < threads; i++) {
      workers.add(new Worker(i, memory));
    }
    executor =
        Executors.newFixedThreadPool(
            Math.max(1, threads - 1),
            work -> {
              Thread thread = new Thread(work, "longalign-cpu");
              thread.setDaemon(true);
              return thread;
            });
  }

  int count() {
    return workers.size();
  }

  /** One of several images, which all need the same. */
  interface Image {
    /**
     * @param cache of primitives for as many threads as there are for this image
     * @param number less than {@link CpuWorkers#count()}; of two images that run at the same time,
     *     each has its own
     */
    void run(PrimitiveCache cache, int number, int index);
  }

  /**
   * Images 0 to {@code count - 1}: side by side on one thread each where they share out well, else
   * one after another on all threads.
   *
   * @param together of primitives for all threads
   */
  void each(int count, PrimitiveCache together, Image image) {
    int threads = workers.size();
    if (count > 1 && (count % threads == 0 || count >= 4 * threads)) {
      run(count, (worker, index) -> image.run(worker.cache(), worker.number(), index));
      return;
    }
    for (int i = 0; i < count; i++) {
      image.run(together, 0, i);
    }
  }

  /** Runs parts 0 to {@code count - 1}, each on one thread, the caller's among them. */
  void run(int count, Part part) {
    AtomicInteger next = new AtomicInteger();
    List<Future<?>> running = new ArrayList<>();
    for (Worker worker : workers.subList(1, Math.max(1, Math.min(count, workers.size())))) {
      running.add(executor.submit(() -> work(worker, next, count, part)));
    }
    RuntimeException failure = null;
    try {
      work(workers.get(0), next, count, part);
    } catch (RuntimeException e) {
      failure = e;
    } finally {
      together.apply();
    }
    for (Future<?> future : running) {
      failure = outcome(future, failure);
    }
    if (failure != null) {
      throw failure;
    }
  }

  private static void work(Worker worker, AtomicInteger next, int count, Part part) {
    worker.alone.apply();
    int index;
    while ((index = next.getAndIncrement()) < count) {
      part.run(worker, index);
    }
  }

  /** Waits even if interrupted: the parts write to memory that the caller is about to free. */
  private static RuntimeException outcome(Future<?> future, RuntimeException earlier) {
    boolean interrupted = false;
    try {
      while (true) {
        try {
          future.get();
          return earlier;
        } catch (InterruptedException e) {
          interrupted = true;
        } catch (ExecutionException e) {
          return e.getCause() instanceof RuntimeException failure
              ? failure
              : new LongAlignException("a CPU worker failed: " + e.getCause(), e.getCause());
        }
      }
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  @Override
  public void close() {
    executor.shutdown();
    workers.forEach(worker -> worker.cache.close());
  }
}
