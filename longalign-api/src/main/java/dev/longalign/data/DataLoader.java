package dev.longalign.data;

import dev.longalign.LongAlignException;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Objects;
import java.util.OptionalLong;

/**
 * Batches of a dataset, epoch after epoch, each in another order, loaded ahead by threads.
 *
 * <pre>{@code
 * try (DataLoader<TrainingExample> loader =
 *     DataLoader.builder(dataset).batchSize(16).seed(42).threads(4).build()) {
 *   while (step < steps) {
 *     Batch<TrainingExample> batch = loader.next();
 *     ...                                            // train
 *     checkpoint.save(batch.next().toJson());        // and continue there another day
 *   }
 *   log.info("{}", loader.skipped());
 * }
 * }</pre>
 *
 * <p>The sequence of batches depends on dataset, seed, batch size and the end of the epoch only,
 * never on the number of threads or their luck. An example that cannot be used is skipped, counted
 * and named, and the next one of the order takes its place; so a batch is never short because of
 * it. A dataset without end is taken in its own order, as one epoch.
 *
 * <p>For one consumer thread. Closing waits for the threads, so that the dataset may be closed
 * next.
 */
public final class DataLoader<E> implements Iterator<Batch<E>>, AutoCloseable {
  private final Prefetcher<E> prefetcher;
  private final int batchSize;
  private final boolean dropLast;
  private final DataOrder order;
  private final SkipLog skips;
  private DataPosition position;
  private final List<E> examples = new ArrayList<>();
  private Batch<E> upcoming;
  private long deliveredInEpoch;
  private boolean wholeEpoch;

  private DataLoader(Builder<E> builder) {
    this.order = new DataOrder(builder.dataset.size(), builder.shuffle, builder.seed);
    this.batchSize = builder.batchSize;
    this.dropLast = builder.dropLast;
    this.position =
        builder.position == null ? order.place(builder.start) : order.check(builder.position);
    this.wholeEpoch = position.index() == 0;
    this.skips = new SkipLog(builder.dataset.source(), builder.listener, builder.maxSkipsInARow);
    int ahead = builder.prefetch > 0 ? builder.prefetch : 2 * (batchSize + builder.threads);
    this.prefetcher =
        new Prefetcher<>(builder.dataset, order, position, builder.epochs, builder.threads, ahead);
  }

  public static <E> Builder<E> builder(Dataset<E> dataset) {
    return new Builder<>(dataset);
  }

  /** Whether there is another batch: always, unless {@link Builder#epochs} set an end. */
  @Override
  public boolean hasNext() {
    if (upcoming == null) {
      upcoming = assemble();
    }
    return upcoming != null;
  }

  /**
   * The next batch, waiting for it if need be.
   *
   * @throws LongAlignException if too many examples in a row, or all of an epoch, cannot be used
   */
  @Override
  public Batch<E> next() {
    if (!hasNext()) {
      throw new NoSuchElementException("the last epoch is over");
    }
    Batch<E> batch = upcoming;
    upcoming = null;
    position = batch.next();
    return batch;
  }

  /** The place after the last batch that {@link #next} returned. */
  public DataPosition position() {
    return position;
  }

  /** What has been skipped so far. */
  public SkipReport skipped() {
    return skips.report();
  }

  /** The next batch; null after the last. An interrupted call leaves what it has for the next. */
  private Batch<E> assemble() {
    while (true) {
      Prefetcher.Loaded<E> loaded = prefetcher.take();
      if (loaded == null) {
        return null;
      }
      if (loaded.example() != null) {
        examples.add(loaded.example());
        skips.loaded();
      } else {
        skips.skipped(loaded.skip());
      }
      boolean last = order.isLast(loaded.index());
      if (examples.size() == batchSize || last && !dropLast && !examples.isEmpty()) {
        deliveredInEpoch++;
        Batch<E> batch =
            new Batch<>(examples, loaded.epoch(), order.after(loaded.epoch(), loaded.index()));
        examples.clear();
        endEpoch(last);
        return batch;
      } else if (last) {
        examples.clear();
        endEpoch(true);
      }
    }
  }

  private void endEpoch(boolean ended) {
    if (!ended) {
      return;
    }
    if (wholeEpoch && deliveredInEpoch == 0) {
      throw new LongAlignException(skips.nothingUsable(order, batchSize));
    }
    wholeEpoch = true;
    deliveredInEpoch = 0;
  }

  @Override
  public void close() {
    prefetcher.close();
  }

  /** Settings of a loader; each has a default. */
  public static final class Builder<E> {
    private final Dataset<E> dataset;
    private int batchSize = 1;
    private boolean shuffle = true;
    private long seed;
    private boolean dropLast = true;
    private long epochs = Long.MAX_VALUE;
    private int threads = Math.max(1, Runtime.getRuntime().availableProcessors() / 2);
    private int prefetch;
    private int maxSkipsInARow = 1000;
    private DataPosition position;
    private long start;
    private SkipListener listener;

    private Builder(Dataset<E> dataset) {
      this.dataset = Objects.requireNonNull(dataset, "dataset");
    }

    /** Examples in a batch; 1 by default. */
    public Builder<E> batchSize(int examples) {
      batchSize = atLeast(1, examples, "batchSize");
      return this;
    }

    /** Whether every epoch has another order (the default) or the dataset's. */
    public Builder<E> shuffle(boolean on) {
      shuffle = on;
      return this;
    }

    /** Decides the orders; 0 by default. */
    public Builder<E> seed(long value) {
      seed = value;
      return this;
    }

    /** Whether the examples left over at the end of an epoch are left out (the default). */
    public Builder<E> dropLast(boolean on) {
      dropLast = on;
      return this;
    }

    /** How often to go over the dataset, from epoch 0 on; without end by default. */
    public Builder<E> epochs(long count) {
      epochs = atLeast(1, (int) Math.min(count, Integer.MAX_VALUE), "epochs");
      return this;
    }

    /** Threads that load ahead; half of the cores by default. 0: load when asked, in the caller. */
    public Builder<E> threads(int count) {
      threads = atLeast(0, count, "threads");
      return this;
    }

    /** Examples that may be loaded and waiting; by default twice the batch size and threads. */
    public Builder<E> prefetch(int examples) {
      prefetch = atLeast(1, examples, "prefetch");
      return this;
    }

    /** So many unusable examples in a row mean that something else is wrong; 1000 by default. */
    public Builder<E> maxSkipsInARow(int count) {
      maxSkipsInARow = atLeast(1, count, "maxSkipsInARow");
      return this;
    }

    /** Where to begin; the start of epoch 0 by default. */
    public Builder<E> position(DataPosition saved) {
      position = Objects.requireNonNull(saved, "saved");
      return this;
    }

    /** Where to begin in epoch 0, as a place of its order; 0 by default. */
    public Builder<E> start(long index) {
      start = index;
      return this;
    }

    /** Hears of what is skipped; without a listener the log says it. */
    public Builder<E> listener(SkipListener skips) {
      listener = Objects.requireNonNull(skips, "skips");
      return this;
    }

    /**
     * Starts loading.
     *
     * @throws LongAlignException if the dataset is empty or the position is of another order
     */
    public DataLoader<E> build() {
      OptionalLong size = dataset.size();
      if (size.isPresent() && size.getAsLong() == 0) {
        throw new LongAlignException(dataset.source() + " has no examples");
      }
      return new DataLoader<>(this);
    }

    private static int atLeast(int least, int value, String name) {
      if (value < least) {
        throw new IllegalArgumentException(
            name + " must be at least " + least + ", found " + value);
      }
      return value;
    }
  }
}
