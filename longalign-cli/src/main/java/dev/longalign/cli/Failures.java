package dev.longalign.cli;

import com.google.gson.JsonObject;
import dev.longalign.LongAlignException;
import dev.longalign.io.Reasons;
import java.io.InterruptedIOException;
import java.io.PrintWriter;
import java.nio.channels.ClosedByInterruptException;
import java.nio.file.FileSystemException;
import java.nio.file.InvalidPathException;
import java.util.concurrent.CancellationException;
import picocli.CommandLine;
import picocli.CommandLine.IExecutionExceptionHandler;
import picocli.CommandLine.ParseResult;

/** Turns what a command throws into a message on stderr and an exit code. */
final class Failures implements IExecutionExceptionHandler {

  @Override
  public int handleExecutionException(Exception e, CommandLine commandLine, ParseResult result) {
    return handle(e, commandLine, result(result, "--stacktrace"), result(result, "--json"));
  }

  int handle(Throwable e, CommandLine commandLine, boolean stacktrace, boolean json) {
    if (e instanceof StandardOutput.Failed) {
      return ExitCode.FAILED; // said when the process ends
    }
    boolean cancelled = isCancelled(e, commandLine);
    String message = cancelled ? "cancelled" : message(e);
    PrintWriter err = commandLine.getErr();
    if (e instanceof Signals.Cancelled && e.getMessage() != null) {
      message += "; " + e.getMessage();
    }
    err.println("longalign: " + message);
    if (stacktrace) {
      e.printStackTrace(err);
    } else if (isUnexpected(e) && !cancelled) {
      err.println(
          "This is not an error that LongAlign knows; --stacktrace shows where it happened.");
    }
    err.flush();
    if (json) {
      JsonObject object = new JsonObject();
      object.addProperty("error", message);
      object.addProperty("cancelled", cancelled);
      commandLine.getOut().println(object);
      commandLine.getOut().flush();
    }
    return cancelled ? ExitCode.CANCELLED : ExitCode.FAILED;
  }

  /** Cancelling interrupts, and what an interrupt ends fails in its own words. */
  private static boolean isCancelled(Throwable e, CommandLine commandLine) {
    Object root = commandLine.getCommandSpec().root().userObject();
    boolean signalled = root instanceof LongAlignCommand command && command.signals.received();
    for (Throwable cause = e; cause != null; cause = cause.getCause()) {
      if (cause instanceof CancellationException
          || signalled
              && (cause instanceof ClosedByInterruptException
                  || cause instanceof InterruptedException
                  || cause instanceof InterruptedIOException)) {
        return true;
      }
    }
    return false;
  }

  /** The innermost subcommand's flag. */
  private static boolean result(ParseResult result, String option) {
    ParseResult innermost = result;
    while (innermost.hasSubcommand()) {
      innermost = innermost.subcommand();
    }
    return innermost.hasMatchedOption(option);
  }

  private static boolean isUnexpected(Throwable e) {
    return !(e instanceof LongAlignException
        || e instanceof IllegalArgumentException
        || e instanceof FileSystemException
        || e instanceof OutOfMemoryError);
  }

  static String message(Throwable e) {
    if (e instanceof FileSystemException file) {
      return file.getFile() + ": " + Reasons.of(e) + "; check the path and its permissions";
    } else if (e instanceof InvalidPathException path) {
      return "'" + path.getInput() + "': " + Reasons.of(e);
    } else if (e instanceof OutOfMemoryError) {
      return "Java's heap of "
          + (Runtime.getRuntime().maxMemory() >> 20)
          + " MiB is full; give it more with LONGALIGN_JAVA_OPTS=-Xmx4g, or smaller files";
    }
    String text = e.getMessage();
    if (text != null
        && (e instanceof LongAlignException || e instanceof IllegalArgumentException)) {
      return text;
    }
    return e.getClass().getSimpleName() + ": " + Reasons.of(e);
  }
}
