package dev.longalign.training;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Locale;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Warns while a run still goes on that the disk has no room for its next checkpoint. */
final class SpaceWatch {
  private static final Logger LOG = LoggerFactory.getLogger(SpaceWatch.class);
  private static final Duration EVERY = Duration.ofMinutes(1);

  private final Path run;
  private final long needed;
  private long next = System.nanoTime();
  private boolean warned;

  /**
   * @param needed bytes of a checkpoint
   */
  SpaceWatch(Path run, long needed) {
    this.run = run;
    this.needed = needed;
  }

  /**
   * Looks, if a minute has passed; says it once for each shortage.
   *
   * @param saved the step of the newest checkpoint; -1 if there is none
   */
  void check(long saved) {
    if (System.nanoTime() - next < 0) {
      return;
    }
    next = System.nanoTime() + EVERY.toNanos();
    long free = free();
    boolean shortage = free < needed;
    if (shortage && !warned) {
      LOG.warn(
          "{}: the next checkpoint takes {} bytes, and {} are free; free some space, or all steps"
              + " after {} will be lost",
          run,
          String.format(Locale.ROOT, "%,d", needed),
          String.format(Locale.ROOT, "%,d", free),
          Math.max(0, saved));
    }
    warned = shortage;
  }

  private long free() {
    try {
      return Files.getFileStore(run).getUsableSpace();
    } catch (IOException unknown) {
      return Long.MAX_VALUE;
    }
  }
}
