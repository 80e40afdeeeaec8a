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
        "Trains a LoRA, stage by stage, and in the first the text adapter; or Denscore, the scorer.",
    synopsisSubcommandLabel = "STAGE",
    subcommands = {
      TrainStageCommand.Align.class,
      TrainStageCommand.Lcm.class,
      TrainStageCommand.Reward.class,
      TrainStageCommand.RewardLcm.class,
      TrainDenscoreCommand.class
    })
final class TrainCommand implements Runnable {
  @Spec CommandSpec spec;

  @Override
  public void run() {
    throw new CommandLine.ParameterException(
        spec.commandLine(),
        "expected a stage, found none; try: longalign train align --config run.yaml");
  }
}
