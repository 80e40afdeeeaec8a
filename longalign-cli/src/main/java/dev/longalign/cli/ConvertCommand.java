package dev.longalign.cli;

import dev.longalign.LongAlignException;
import dev.longalign.pipeline.SingleFileCheckpoint;
import dev.longalign.scheduler.PredictionType;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code longalign convert}: a single-file checkpoint as a diffusers directory. */
@Command(
    name = "convert",
    sortOptions = false,
    abbreviateSynopsis = true,
    description = {
      "Writes a Stable Diffusion 1.x checkpoint that lies in one file (.safetensors or .ckpt) as a"
          + " diffusers directory, which --model takes. Nothing in the file is executed."
    },
    footer = {
      "",
      "Examples:",
      "  longalign convert v1-5-pruned-emaonly.safetensors --out stable-diffusion-v1-5",
      "  longalign convert finetuned.ckpt --precision f16 --out finetuned"
    })
final class ConvertCommand implements Callable<Integer> {
  @Mixin CommonOptions common;

  @Parameters(paramLabel = "CHECKPOINT", description = "The file.")
  Path checkpoint;

  @Option(
      names = "--out",
      required = true,
      paramLabel = "DIR",
      description = "The directory; new or empty.")
  Path out;

  @Option(
      names = "--like",
      paramLabel = "DIR",
      description =
          "A diffusers directory of the same kind of model, whose configs, scheduler and tokenizer"
              + " are taken. Default: those of Stable Diffusion 1.5.")
  Path like;

  @Option(
      names = "--precision",
      paramLabel = "TYPE",
      description = "Of the weights: ${COMPLETION-CANDIDATES}. Default: as they are.")
  WeightPrecision precision;

  @Option(
      names = "--prediction-type",
      paramLabel = "TYPE",
      description =
          "What the network predicts: ${COMPLETION-CANDIDATES}. Default: what the file says (tensors"
              + " v_pred and ztsnr, metadata, a .yaml beside it), else epsilon.")
  PredictionType prediction;

  @Override
  public Integer call() {
    if (!Files.isRegularFile(checkpoint)) {
      throw new LongAlignException(
          checkpoint + ": expected a checkpoint file, found none; check the path");
    }
    common.stage("converting " + checkpoint.getFileName());
    SingleFileCheckpoint.Conversion done;
    try (Signals.Work work = common.interruptible()) {
      done =
          SingleFileCheckpoint.convert(
              checkpoint, like, WeightPrecision.dtype(precision), prediction, out);
    }
    if (common.json) {
      common.printJson(done);
      return ExitCode.OK;
    }
    common.out().printf(Locale.ROOT, "%s: %,d tensors%n", done.directory(), done.tensors());
    done.notes().forEach(note -> common.out().println("  " + note));
    done.unused()
        .forEach(
            (name, count) ->
                common.out().printf(Locale.ROOT, "  not used: %s, %,d tensors%n", name, count));
    common.out().flush();
    return ExitCode.OK;
  }
}
