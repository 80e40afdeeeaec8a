package dev.longalign.cli;

import com.google.gson.JsonObject;
import dev.longalign.LongAlignException;
import java.io.PrintWriter;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.util.concurrent.CancellationException;
import picocli.CommandLine;
import picocli.CommandLine.IExecutionExceptionHandler;
import picocli.CommandLine.ParseResult;

/** Turns what a command throws into a message on stderr and an exit code. */
final class Failures implements IExecutionExceptionHandler {

  @Override
  public int handleExecutionException(Exception e, CommandLine commandLine, ParseResult result) {
    boolean cancelled = e instanceof CancellationException;
    String message = cancelled ? "cancelled" : message(e);
    PrintWriter err = commandLine.getErr();
    err.println("longalign: " + message);
    if (result(result, "--stacktrace")) {
      e.printStackTrace(err);
    } else if (isUnexpected(e) && !cancelled) {
      err.println(
          "This is not an error that LongAlign knows; --stacktrace shows where it happened.");
    }
    err.flush();
    if (result(result, "--json")) {
      JsonObject object = new JsonObject();
      object.addProperty("error", message);
      object.addProperty("cancelled", cancelled);
      commandLine.getOut().println(object);
      commandLine.getOut().flush();
    }
    return cancelled ? ExitCode.CANCELLED : ExitCode.FAILED;
  }

  /** The innermost subcommand's flag. */
  private static boolean result(ParseResult result, String option) {
    ParseResult innermost = result;
    while (innermost.hasSubcommand()) {
      innermost = innermost.subcommand();
    }
    return innermost.hasMatchedOption(option);
  }

  private static boolean isUnexpected(Exception e) {
    return !(e instanceof LongAlignException
        || e instanceof IllegalArgumentException
        || e instanceof FileSystemException);
  }

  static String message(Throwable e) {
    if (e instanceof NoSuchFileException missing) {
      return missing.getFile() + ": expected a file, found nothing; check the path";
    }
    if (e instanceof AccessDeniedException denied) {
      return denied.getFile() + ": permission denied; check its owner and mode";
    }
    if (e instanceof FileAlreadyExistsException exists) {
      return exists.getFile() + ": exists already; choose another name";
    }
    String text = e.getMessage();
    if (e instanceof LongAlignException || e instanceof IllegalArgumentException) {
      return text == null ? e.getClass().getSimpleName() : text;
    }
    return text == null ? e.getClass().getName() : e.getClass().getSimpleName() + ": " + text;
  }
}
