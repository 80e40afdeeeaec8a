package dev.longalign.data;

import dev.longalign.LongAlignException;
import java.util.OptionalLong;

/** In which order a loader takes the examples, epoch by epoch. */
final class DataOrder {
  private final OptionalLong size;
  private final boolean shuffled;
  private final long seed;

  DataOrder(OptionalLong size, boolean shuffle, long seed) {
    this.size = size;
    this.shuffled = shuffle && size.isPresent();
    this.seed = seed;
  }

  /** The examples of one epoch, place by place. */
  interface Epoch {
    long at(long index);
  }

  Epoch epoch(long epoch) {
    return shuffled ? new Permutation(size.getAsLong(), seed, epoch)::at : index -> index;
  }

  boolean isLast(long index) {
    return size.isPresent() && index == size.getAsLong() - 1;
  }

  OptionalLong size() {
    return size;
  }

  /** The position behind a place. */
  DataPosition after(long epoch, long index) {
    return isLast(index)
        ? new DataPosition(epoch + 1, 0, description())
        : new DataPosition(epoch, index + 1, description());
  }

  /** A position in epoch 0. */
  DataPosition place(long index) {
    return check(new DataPosition(0, index, description()));
  }

  /** The position, if it is one of this order. */
  DataPosition check(DataPosition position) {
    if (!position.order().equals(description())) {
      throw new LongAlignException(
          "the saved data position belongs to another order: expected '"
              + description()
              + "', found '"
              + position.order()
              + "'; continue with the same dataset and seed, or begin without a position");
    }
    if (size.isPresent() && position.index() >= size.getAsLong()) {
      throw new LongAlignException(
          "the saved data position is at "
              + position.index()
              + " of an epoch of "
              + size.getAsLong());
    }
    return position;
  }

  private String description() {
    String extent = size.isPresent() ? size.getAsLong() + " examples" : "endless";
    return extent + (shuffled ? ", shuffled by seed " + seed : ", in order");
  }
}
