package dev.longalign.cli;

import java.io.PrintWriter;
import java.util.List;
import java.util.Locale;

/**
 * Progress of one piece of work on stderr: a bar on a terminal; elsewhere (logs, pipes) a line now
 * and then once it takes over two seconds, and one for its last step. Safe to call from any thread.
 */
final class Progress implements AutoCloseable {
  private static final long FIRST_LINE_NANOS = 2_000_000_000L;
  private static final long NEXT_LINE_NANOS = 10_000_000_000L;
  private static final long NEXT_DRAWING_NANOS = 100_000_000L;
  private static final int MIN_BAR = 10;
  private static final int MAX_BAR = 40;

  private final String task;
  private final long total;
  private final PrintWriter err;
  private final StatusLine status;
  private final long start = System.nanoTime();
  private long next;
  private long before;
  private long done;
  private long told = -1;
  private String note = "";

  private Progress(String task, long total, PrintWriter err, StatusLine status) {
    this.task = task;
    this.total = total;
    this.err = err;
    this.status = err == null ? null : status;
    this.next = status == null ? start + FIRST_LINE_NANOS : start;
  }

  /**
   * @param err null: silent
   * @param status the line of a terminal, or null
   */
  static Progress start(String task, long total, PrintWriter err, StatusLine status) {
    return new Progress(task, total, err, status);
  }

  /** So many were finished before this process began; they say nothing about its speed. */
  synchronized void startAt(long finished) {
    before = finished;
    done = finished;
    tell(false);
  }

  /** {@code done} of the total are finished. */
  synchronized void stepTo(long done) {
    stepTo(done, "");
  }

  /** The same, with a few words on how it goes. */
  synchronized void stepTo(long done, String note) {
    this.done = done;
    this.note = note;
    tell(false);
  }

  synchronized void step() {
    stepTo(done + 1, note);
  }

  /** A line beside the progress. */
  synchronized void say(String line) {
    if (err != null) {
      err.println(line);
      err.flush();
    }
  }

  private void tell(boolean last) {
    long now = System.nanoTime();
    if (err == null || told == done || !last && now < next) {
      return;
    }
    told = done;
    if (status != null) {
      next = now + NEXT_DRAWING_NANOS;
      status.show(this::bar);
    } else {
      next = now + NEXT_LINE_NANOS;
      err.println(line());
      err.flush();
    }
  }

  /** What fits: with a bar if there is room for one, else with less of the note, or of the time. */
  private synchronized String bar(int columns) {
    String count = String.format(Locale.ROOT, "%s %d/%d", task, done, total);
    String time =
        "  "
            + clock(seconds())
            + (done == before || done >= total ? "" : ", " + clock(left()) + " left");
    String words = note.isEmpty() ? "" : "  " + note;
    int room = columns - (count + time + words).length() - 3;
    if (room >= MIN_BAR) {
      int width = Math.min(room, MAX_BAR);
      int filled = total == 0 ? width : (int) (width * Math.min(done, total) / total);
      String drawn = "=".repeat(filled) + (filled < width ? ">" : "");
      return count + " [" + drawn + " ".repeat(width - drawn.length()) + "]" + time + words;
    }
    for (String begin : List.of(count + time, count)) {
      for (int end = words.length(); end > 0; end = words.lastIndexOf(", ", end - 1)) {
        if (begin.length() + end <= columns) {
          return begin + words.substring(0, end);
        }
      }
    }
    return count.length() + time.length() <= columns ? count + time : count;
  }

  private static String clock(double seconds) {
    long all = Math.round(seconds);
    return all < 3600
        ? String.format(Locale.ROOT, "%d:%02d", all / 60, all % 60)
        : String.format(Locale.ROOT, "%d:%02d:%02d", all / 3600, all / 60 % 60, all % 60);
  }

  private double seconds() {
    return (System.nanoTime() - start) * 1e-9;
  }

  private double left() {
    return seconds() / (done - before) * (total - done);
  }

  private String line() {
    String left =
        done == before || done >= total ? "" : String.format(Locale.ROOT, ", %.0f s left", left());
    String words = note.isEmpty() ? "" : ": " + note;
    return String.format(
        Locale.ROOT, "%s %d/%d (%.0f s%s)%s", task, done, total, seconds(), left, words);
  }

  @Override
  public synchronized void close() {
    if (status != null || System.nanoTime() - start >= FIRST_LINE_NANOS) {
      tell(true);
    }
    if (status != null) {
      status.keep();
    }
  }
}
