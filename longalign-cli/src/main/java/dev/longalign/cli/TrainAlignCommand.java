package dev.longalign.cli;

import dev.longalign.EmbeddedModel;
import dev.longalign.pipeline.ModelFiles;
import dev.longalign.tensor.Device;
import dev.longalign.training.AlignRun;
import dev.longalign.training.RunConfig;
import dev.longalign.training.StepReport;
import dev.longalign.training.TrainingListener;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code longalign train align}: stage 1. */
@Command(
    name = "align",
    sortOptions = false,
    description = {
      "Stage 1: teaches the UNet the context of long captions. Continues from the newest checkpoint"
          + " in the run's output directory, if there is one; at the end, lora_vis.pt and adapter"
          + " are in its directory export."
    },
    footer = {
      "",
      "The config is a JSON object. Needed: output, steps. Others and their defaults: data"
          + " (\"panels\", or a folder of pictures with captions), resolution (the model's),"
          + " batchSize (1), accumulation (1), rank (32), dropout (0.1), captionDropout (0.1), huber"
          + " (0), checkpointing (false), learningRate (3e-5), warmupSteps (2000), maxGradientNorm"
          + " (0.3), weightDecay (0.01), seed (0), saveEvery (500), keepLast (3)."
    })
final class TrainAlignCommand implements Callable<Integer> {
  @Mixin CommonOptions common;

  @Option(names = "--config", required = true, paramLabel = "FILE", description = "The run.")
  Path config;

  @Option(
      names = "--model",
      paramLabel = "DIR",
      description =
          "The base: a diffusers directory with t5 and adapter. Default: the small model in the"
              + " jar, without its LoRA.")
  Path model;

  @Option(names = "--adapter", paramLabel = "DIR", description = "The adapter to start from.")
  Path adapter;

  @Option(names = "--t5", paramLabel = "DIR", description = "T5's tokenizer and encoder.")
  Path t5;

  @Option(names = "--threads", description = "CPU threads. Default: one per core.")
  int threads;

  /**
   * What is printed at the end.
   *
   * @param loss of the last step; null if none was left to make
   */
  record Result(String stage, long steps, Double loss, String export) {}

  @Override
  public Integer call() {
    RunConfig run = RunConfig.read(config);
    Path directory = model == null ? EmbeddedModel.directory() : model;
    ModelFiles files = ModelFiles.find(directory, adapter, t5, List.of(), false);
    Path export = run.output().resolve("export");
    Double[] loss = {null};
    try (AlignRun align = new AlignRun(run, files, Device.cpu().open(threads), threads)) {
      boolean resumed = align.trainer().resume();
      if (resumed && !common.quiet) {
        common.err().println("continuing after step " + align.trainer().step());
        common.err().flush();
      }
      try (Progress progress = common.progress("align", run.steps())) {
        progress.stepTo(align.trainer().step());
        align
            .trainer()
            .listen(
                new TrainingListener() {
                  @Override
                  public void onStep(StepReport step) {
                    loss[0] = step.loss();
                    progress.stepTo(step.step());
                  }
                });
        align.trainer().trainTo(run.steps());
      }
      align.model().export(export);
      report(new Result("align", align.trainer().step(), loss[0], export.toString()));
    }
    return ExitCode.OK;
  }

  private void report(Result result) {
    if (common.json) {
      common.printJson(result);
    } else {
      common
          .out()
          .printf(
              Locale.ROOT,
              "%d steps%s; sample with --lora %s/lora_vis.pt --adapter %s/adapter%n",
              result.steps(),
              result.loss() == null
                  ? ""
                  : String.format(Locale.ROOT, ", last loss %.4f", result.loss()),
              result.export(),
              result.export());
      common.out().flush();
    }
  }
}
