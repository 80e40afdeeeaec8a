package dev.longalign.data;

import dev.longalign.LongAlignException;
import java.util.OptionalLong;
import java.util.function.Function;

/**
 * Examples by index. The same index gives the same example at any time and from any thread; threads
 * may ask at once.
 *
 * @param <E> {@link TrainingExample} for pictures with captions, {@link FeatureExample} for what
 *     has been computed from them
 */
public interface Dataset<E> extends AutoCloseable {

  /** How many indices there are, those of unusable examples included; empty: without end. */
  OptionalLong size();

  /**
   * Loads an example.
   *
   * @param index from 0, below {@link #size()}
   * @throws LongAlignException if this example cannot be used (a broken picture, a missing file, no
   *     caption); the message names it. {@link DataLoader} skips and reports such an example
   */
  E example(long index);

  /** What this is, for messages: the file or directory. */
  String source();

  /** This dataset with every example changed, in the thread that loads it. */
  default <F> Dataset<F> map(Function<? super E, ? extends F> change) {
    Dataset<E> original = this;
    return new Dataset<>() {
      @Override
      public OptionalLong size() {
        return original.size();
      }

      @Override
      public F example(long index) {
        return change.apply(original.example(index));
      }

      @Override
      public String source() {
        return original.source();
      }

      @Override
      public void close() {
        original.close();
      }
    };
  }

  /** Frees files; does nothing where there are none. */
  @Override
  default void close() {}
}
