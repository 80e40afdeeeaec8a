package dev.longalign.data;

import dev.longalign.LongAlignException;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Counts and names what a loader skips, and says when it is too much. */
final class SkipLog {
  private static final Logger LOG = LoggerFactory.getLogger(DataLoader.class);

  private final String source;
  private final SkipListener listener;
  private final int maxInARow;
  private final List<Skip> named = new ArrayList<>();
  private final BitSet met = new BitSet();
  private long loaded;
  private long skipped;
  private int inARow;

  /**
   * @param listener null: the log says what is skipped
   */
  SkipLog(String source, SkipListener listener, int maxInARow) {
    this.source = source;
    this.listener = listener;
    this.maxInARow = maxInARow;
  }

  void loaded() {
    loaded++;
    inARow = 0;
  }

  void skipped(Skip skip) {
    inARow++;
    if (isNew(skip.index())) {
      skipped++;
      if (named.size() < SkipReport.MAX_NAMED) {
        named.add(skip);
      }
      if (listener != null) {
        listener.onSkip(skip);
      } else if (skipped <= SkipReport.MAX_NAMED) {
        LOG.warn("skipped: {}", skip.reason());
      }
    }
    if (inARow >= maxInARow) {
      throw new LongAlignException(
          source
              + ": "
              + inARow
              + " examples in a row cannot be used; the last: "
              + skip.reason()
              + ". Is the data where it is expected?");
    }
  }

  /**
   * Of data with more examples than a bit set has room for, those behind that are new each time.
   */
  private boolean isNew(long index) {
    if (index >= Integer.MAX_VALUE) {
      return true;
    }
    boolean isNew = !met.get((int) index);
    met.set((int) index);
    return isNew;
  }

  String nothingUsable(DataOrder order, int batchSize) {
    String text =
        source
            + ": no batch of "
            + batchSize
            + " in a whole epoch of "
            + order.size().getAsLong()
            + " examples, of which "
            + skipped
            + " cannot be used; use a smaller batch or keep the last one";
    return named.isEmpty() ? text : text + ". The first that cannot: " + named.get(0).reason();
  }

  SkipReport report() {
    return new SkipReport(loaded, skipped, named);
  }
}
