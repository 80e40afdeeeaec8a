package dev.longalign.cli;

import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** {@code longalign train}: holds the stages. */
@Command(
    name = "train",
    sortOptions = false,
    description =
        "Trains on pictures with long captions: a LoRA and the text adapter, or a scorer of pictures.",
    synopsisSubcommandLabel = "STAGE",
    subcommands = {TrainAlignCommand.class, TrainDenscoreCommand.class})
final class TrainCommand implements Runnable {
  @Spec CommandSpec spec;

  @Override
  public void run() {
    throw new CommandLine.ParameterException(
        spec.commandLine(),
        "expected a stage, found none; try: longalign train align --config run.json");
  }
}
