package dev.longalign.data;

import java.util.List;

/**
 * Some examples, in the loader's order.
 *
 * @param examples as many as the batch size; fewer only at the end of an epoch whose last batch is
 *     kept
 * @param epoch of all of them, from 0
 * @param next the place after this batch: save it once the batch has been trained on
 */
public record Batch<E>(List<E> examples, long epoch, DataPosition next) {
  public Batch {
    examples = List.copyOf(examples);
  }

  public int size() {
    return examples.size();
  }
}
