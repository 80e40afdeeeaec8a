package dev.longalign.cli;

import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;

/** {@code longalign}: holds the subcommands. */
@Command(
    name = "longalign",
    sortOptions = false,
    description = "Pictures from long text: Stable Diffusion with LongAlign, on the JVM.",
    scope = ScopeType.INHERIT,
    mixinStandardHelpOptions = true,
    versionProvider = Version.class,
    usageHelpAutoWidth = true,
    synopsisSubcommandLabel = "COMMAND",
    exitCodeListHeading = "%nExit codes:%n",
    exitCodeList = {
      "0:done",
      "1:failed; the message on stderr says what, where and what to do",
      "2:the command line was not understood",
      "130:cancelled with Ctrl-C; what was done is kept",
      "143:the same with TERM, 129 with HUP (128 and the signal's number)",
      "141:the reader of the output has gone"
    },
    subcommands = {
      SampleCommand.class,
      ScoreCommand.class,
      EtaCommand.class,
      EvaluateCommand.class,
      TrainCommand.class,
      CacheCommand.class,
      ExportCommand.class,
      ConvertCommand.class,
      EncodeCommand.class,
      InspectCommand.class,
      BenchCommand.class,
      VerifyCommand.class,
      DoctorCommand.class
    })
final class LongAlignCommand implements Runnable {
  @Spec CommandSpec spec;

  final Signals signals;

  /** Null where stderr is no terminal. */
  final StatusLine status;

  LongAlignCommand(Signals signals, StatusLine status) {
    this.signals = signals;
    this.status = status;
  }

  @Override
  public void run() {
    throw new CommandLine.ParameterException(
        spec.commandLine(),
        "expected a command, found none; try: longalign sample \"A long prompt. With sentences.\"");
  }
}
