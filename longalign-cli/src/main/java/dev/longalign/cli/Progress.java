package dev.longalign.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import me.tongfei.progressbar.DelegatingProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;

/**
 * Progress of one piece of work on stderr: a bar on a terminal; elsewhere (logs, pipes) a line now
 * and then once it takes over two seconds. Safe to call from any thread.
 */
final class Progress implements AutoCloseable {
  private static final long FIRST_LINE_NANOS = 2_000_000_000L;
  private static final long NEXT_LINE_NANOS = 10_000_000_000L;
  private static final int WIDTH = 80;

  private final String task;
  private final long total;
  private final PrintWriter err;
  private final ProgressBar bar;
  private final long start = System.nanoTime();
  private long nextLine = start + FIRST_LINE_NANOS;
  private long before;
  private long done;
  private String note = "";

  private Progress(String task, long total, PrintWriter err, ProgressBar bar) {
    this.task = task;
    this.total = total;
    this.err = err;
    this.bar = bar;
  }

  /** {@code err} null: silent. */
  static Progress start(String task, long total, PrintWriter err) {
    boolean visible = err != null && stderrIsTerminal();
    return new Progress(task, total, err, visible ? bar(task, total, err) : null);
  }

  private static ProgressBar bar(String task, long total, PrintWriter err) {
    return new ProgressBarBuilder()
        .setTaskName(task)
        .setInitialMax(total)
        .setStyle(ProgressBarStyle.ASCII)
        .setUpdateIntervalMillis(200)
        .setConsumer(
            new DelegatingProgressBarConsumer(
                text -> {
                  err.print("\r" + text);
                  err.flush();
                },
                WIDTH))
        .build();
  }

  /** So many were finished before this process began; they say nothing about its speed. */
  synchronized void startAt(long finished) {
    before = finished;
    done = finished;
    if (bar != null) {
      bar.stepTo(finished);
    }
  }

  /** {@code done} of the total are finished. */
  synchronized void stepTo(long done) {
    stepTo(done, "");
  }

  /** The same, with a few words on how it goes. */
  synchronized void stepTo(long done, String note) {
    this.done = done;
    this.note = note;
    if (bar != null) {
      bar.stepTo(done);
      bar.setExtraMessage(" " + note);
    } else if (err != null && System.nanoTime() >= nextLine) {
      nextLine = System.nanoTime() + NEXT_LINE_NANOS;
      err.println(line());
      err.flush();
    }
  }

  /** A line beside the progress. */
  synchronized void say(String line) {
    if (err != null) {
      err.println((bar == null ? "" : "\r") + line);
      err.flush();
    }
  }

  synchronized void step() {
    stepTo(done + 1);
  }

  private String line() {
    double seconds = (System.nanoTime() - start) * 1e-9;
    String left =
        done == before
            ? ""
            : String.format(
                Locale.ROOT, ", %.0f s left", seconds / (done - before) * (total - done));
    String words = note.isEmpty() ? "" : ": " + note;
    return String.format(
        Locale.ROOT, "%s %d/%d (%.0f s%s)%s", task, done, total, seconds, left, words);
  }

  @Override
  public synchronized void close() {
    if (bar != null) {
      bar.close();
      err.println();
      err.flush();
    }
  }

  /** System.console() answers for stdin and stdout, and always on JDK 22 and later. */
  private static boolean stderrIsTerminal() {
    Path stderr = Path.of("/proc/self/fd/2");
    try {
      String target = Files.readSymbolicLink(stderr).toString();
      return target.startsWith("/dev/pts/") || target.startsWith("/dev/tty");
    } catch (IOException | UnsupportedOperationException e) {
      return System.console() != null;
    }
  }
}
