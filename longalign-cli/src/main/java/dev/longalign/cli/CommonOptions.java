package dev.longalign.cli;

import dev.longalign.io.ShellCommand;
import java.io.PrintWriter;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** What every command takes, and where its output goes: results to stdout, all else to stderr. */
final class CommonOptions {
  /** What commands of the library begin with. */
  private static final String LAUNCHER = "longalign";

  private static final long STAGE_NANOS = 2_000_000_000L;

  @Spec(Spec.Target.MIXEE)
  CommandSpec spec;

  @Option(names = "--json", description = "Print the result as JSON, one object a line, on stdout.")
  boolean json;

  @Option(names = "--quiet", description = "No progress on stderr.")
  boolean quiet;

  @Option(names = "--stacktrace", description = "Show where in the program a failure happened.")
  boolean stacktrace;

  private long nextStage = System.nanoTime();

  PrintWriter out() {
    return spec.commandLine().getOut();
  }

  PrintWriter err() {
    return spec.commandLine().getErr();
  }

  /** One line of JSON on stdout; records become objects. */
  void printJson(Object value) {
    out().println(Json.write(value));
    out().flush();
  }

  /** A command as it is pasted here: the launcher may have another name. */
  static String pasteable(String command) {
    String launcher = System.getProperty("longalign.command", LAUNCHER);
    return new ShellCommand(launcher) + command.substring(LAUNCHER.length());
  }

  private LongAlignCommand root() {
    return (LongAlignCommand) spec.root().userObject();
  }

  /** A progress display for work of {@code total} steps; silent with {@code --quiet}. */
  Progress progress(String task, long total) {
    return Progress.start(task, total, quiet ? null : err(), root().status);
  }

  /**
   * What begins now and takes a while without steps to count: "loading UNet". Elsewhere than on a
   * terminal only what follows seconds of silence is a line.
   */
  void stage(String what) {
    StatusLine status = root().status;
    if (quiet) {
      return;
    } else if (status != null) {
      status.show(what + " ...");
    } else if (System.nanoTime() >= nextStage) {
      say(what + " ...");
    }
    nextStage = System.nanoTime() + STAGE_NANOS;
  }

  /** A line beside results and progress. */
  void say(String line) {
    err().println(line);
    err().flush();
  }

  /** Until closed, the first signal (Ctrl-C, TERM, HUP) interrupts this thread. */
  Signals.Work interruptible() {
    return root().signals.during(Thread.currentThread()::interrupt);
  }

  /** Until closed, the first signal calls {@code cancel}, from another thread. */
  Signals.Work cancellable(Runnable cancel) {
    return root().signals.during(cancel);
  }

  /**
   * Between two pieces of work: is the next one still wanted?
   *
   * @throws java.util.concurrent.CancellationException after a signal
   * @throws StandardOutput.Failed if results no longer arrive
   */
  void check() {
    check(null);
  }

  /**
   * @param kept what a cancelled command leaves, and how to go on
   */
  void check(String kept) {
    root().signals.check(kept);
    if (out().checkError()) {
      throw new StandardOutput.Failed();
    }
  }
}
