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

  @Spec(Spec.Target.MIXEE)
  CommandSpec spec;

  @Option(names = "--json", description = "Print the result as JSON, one object a line, on stdout.")
  boolean json;

  @Option(names = "--quiet", description = "No progress on stderr.")
  boolean quiet;

  @Option(names = "--stacktrace", description = "Show where in the program a failure happened.")
  boolean stacktrace;

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

  /** A progress display for work of {@code total} steps; silent with {@code --quiet}. */
  Progress progress(String task, long total) {
    return Progress.start(task, total, quiet ? null : err());
  }
}
