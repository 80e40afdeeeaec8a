package dev.longalign.data;

import java.util.List;

/**
 * What a {@link DataLoader} has skipped since it was built.
 *
 * @param loaded examples that were used
 * @param skipped examples that were not, each counted once, however many epochs meet it
 * @param named the first of them, in the order in which they were met
 */
public record SkipReport(long loaded, long skipped, List<Skip> named) {
  /** At most this many are named; all are counted, and told to the listener. */
  public static final int MAX_NAMED = 1000;

  public SkipReport {
    named = List.copyOf(named);
  }

  /** For a person: the counts, then one line per named example. */
  @Override
  public String toString() {
    StringBuilder text =
        new StringBuilder()
            .append(loaded)
            .append(" examples loaded, ")
            .append(skipped)
            .append(" skipped");
    named.forEach(skip -> text.append("\n  ").append(skip.reason()));
    return text.toString();
  }
}
