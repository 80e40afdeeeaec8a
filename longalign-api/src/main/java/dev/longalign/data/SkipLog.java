package dev.longalign.data;

import dev.longalign.LongAlignException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Counts and names what a loader skips, and says when it is too much. */
final class SkipLog {
  private static final Logger LOG = LoggerFactory.getLogger(DataLoader.class);

  private final String source;
  private final SkipListener listener;
  private final int maxInARow;
  private final Map<Long, Skip> named = new LinkedHashMap<>();
  private long loaded;
  private long skipped;
  private int inARow;

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
    skipped++;
    inARow++;
    if (named.size() < SkipReport.MAX_NAMED && named.putIfAbsent(skip.index(), skip) == null) {
      LOG.warn("skipped: {}", skip.reason());
    }
    listener.onSkip(skip);
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
    List<Skip> first = List.copyOf(named.values());
    return first.isEmpty() ? text : text + ". The first that cannot: " + first.get(0).reason();
  }

  SkipReport report() {
    return new SkipReport(loaded, skipped, List.copyOf(named.values()));
  }
}
