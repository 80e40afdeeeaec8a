package dev.longalign.cli;

import com.google.gson.JsonObject;
import java.io.PrintWriter;
import java.util.List;
import picocli.CommandLine;
import picocli.CommandLine.IParameterExceptionHandler;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.UnmatchedArgumentException;

/** What was not understood, the nearest thing that would be, and where the help is: three lines. */
final class UsageErrors implements IParameterExceptionHandler {

  @Override
  public int handleParseException(ParameterException e, String[] args) {
    CommandLine commandLine = e.getCommandLine();
    PrintWriter err = commandLine.getErr();
    err.println("longalign: " + e.getMessage());
    UnmatchedArgumentException.printSuggestions(e, err);
    err.println("Try '" + commandLine.getCommandSpec().qualifiedName() + " --help'.");
    err.flush();
    if (List.of(args).contains("--json")) {
      JsonObject object = new JsonObject();
      object.addProperty("error", e.getMessage());
      object.addProperty("cancelled", false);
      commandLine.getOut().println(object);
      commandLine.getOut().flush();
    }
    return ExitCode.USAGE;
  }
}
