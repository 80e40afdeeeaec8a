package dev.longalign.benchmarks.miniature;

import dev.longalign.LongAlignException;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;

/** {@code benchmarks/miniature.sh align|reward|lcm}: one experiment of the paper a command. */
@Command(
    name = "miniature",
    description = "The paper in miniature: experiments on the panels world.",
    mixinStandardHelpOptions = true,
    scope = ScopeType.INHERIT,
    subcommands = {AlignExperiment.class, RewardExperiment.class, LcmExperiment.class})
public final class Miniature implements Runnable {
  @Spec CommandSpec spec;

  public static void main(String[] arguments) {
    PrintWriter out = new PrintWriter(System.out, true, StandardCharsets.UTF_8);
    PrintWriter err = new PrintWriter(System.err, true, StandardCharsets.UTF_8);
    System.exit(commandLine(out, err).execute(arguments));
  }

  static CommandLine commandLine(PrintWriter out, PrintWriter err) {
    return new CommandLine(new Miniature())
        .setOut(out)
        .setErr(err)
        .setExecutionExceptionHandler(
            (failure, command, result) -> {
              if (failure instanceof LongAlignException
                  || failure instanceof IllegalArgumentException) {
                err.println("miniature: " + failure.getMessage());
                return 1;
              }
              throw failure;
            });
  }

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "expected align, reward or lcm, found none");
  }
}
