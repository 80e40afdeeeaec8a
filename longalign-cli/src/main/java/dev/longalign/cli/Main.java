package dev.longalign.cli;

import java.io.PrintStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine;

/** Entry point of the runnable jar. */
public final class Main {
  private Main() {}

  public static void main(String[] args) {
    StatusLine status = StatusLine.ofStderr();
    if (status != null) {
      System.setErr(new PrintStream(status, true, StandardCharsets.UTF_8));
      status.show("starting ...");
    }
    // Prompts may hold any character, and the JDK's default charset of a bare container is ASCII.
    PrintWriter err = new PrintWriter(System.err, true, StandardCharsets.UTF_8);
    StandardOutput stdout = new StandardOutput(status);
    PrintWriter out = new PrintWriter(stdout, true, StandardCharsets.UTF_8);
    Signals signals = new Signals(err);
    signals.install();
    int code = execute(commandLine(new LongAlignCommand(signals, status), out, err), args);
    out.flush();
    if (status != null) {
      status.show("");
    }
    System.exit(stdout.exitCode(signals.exitCode(code), err));
  }

  private static int execute(CommandLine commandLine, String[] args) {
    try {
      return commandLine.execute(Arguments.restored(args));
    } catch (RuntimeException | Error e) { // picocli handles what commands throw, but no errors
      return new Failures().handle(e, commandLine, List.of(args).contains("--stacktrace"), false);
    }
  }

  /** The whole command line, writing to the given streams, without signals and terminal. */
  static CommandLine commandLine(PrintWriter out, PrintWriter err) {
    return commandLine(new LongAlignCommand(new Signals(err), null), out, err);
  }

  private static CommandLine commandLine(
      LongAlignCommand command, PrintWriter out, PrintWriter err) {
    return new CommandLine(command)
        .setOut(out)
        .setErr(err)
        .setCaseInsensitiveEnumValuesAllowed(true)
        .registerConverter(Path.class, Paths::parse)
        .setExecutionExceptionHandler(new Failures())
        .setParameterExceptionHandler(new UsageErrors());
  }
}
