package dev.longalign.cli;

import dev.longalign.EmbeddedModel;
import dev.longalign.model.Lora;
import dev.longalign.pipeline.ModelFiles;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Device;
import dev.longalign.training.export.ExportFormat;
import dev.longalign.training.export.ExportSettings;
import dev.longalign.training.export.ExportedFile;
import dev.longalign.training.export.Exports;
import dev.longalign.training.export.ModelCard;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code longalign export}: a LoRA in other formats. */
@Command(
    name = "export",
    sortOptions = false,
    abbreviateSynopsis = true,
    description = {
      "Writes a LoRA in other formats, or merged into its model, into a directory with a model"
          + " card. Replaces an earlier export there, and nothing else."
    },
    footer = {
      "",
      "Formats: longalign (the bare list of the reference), kohya (ComfyUI and others), peft,"
          + " diffusers, merged (a complete model).",
      "",
      "Examples:",
      "  longalign export --from s28750_lora_vis.pt --model stable-diffusion-v1-5 --format kohya"
          + " --out kohya",
      "  longalign export --from lora.safetensors --model stable-diffusion-v1-5 --t5 t5-large"
          + " --adapter s28750_adapter --format merged --out long-sd"
    })
final class ExportCommand implements Callable<Integer> {
  @Mixin CommonOptions common;

  @Option(
      names = "--from",
      required = true,
      paramLabel = "PATH",
      description = "The LoRA, in any of the formats; also a directory of PEFT or diffusers.")
  Path from;

  @Option(
      names = "--format",
      required = true,
      split = ",",
      paramLabel = "FORMAT",
      description = "One or several, separated by commas, of: ${COMPLETION-CANDIDATES}.")
  List<ExportFormat> formats;

  @Option(
      names = "--out",
      required = true,
      paramLabel = "DIR",
      description = "The directory; new, or of an earlier export.")
  Path out;

  @Option(
      names = "--model",
      paramLabel = "DIR",
      description =
          "The model that the LoRA is for, a diffusers directory. Default: the small model in the"
              + " jar.")
  Path model;

  @Option(
      names = "--adapter",
      paramLabel = "DIR",
      description = "The text adapter that belongs to the LoRA; is copied.")
  Path adapter;

  @Option(names = "--t5", paramLabel = "DIR", description = "T5, for a merged model.")
  Path t5;

  @Option(
      names = "--lora",
      paramLabel = "FILE[:SCALE]",
      converter = LoraOption.Converter.class,
      description = "Merge another LoRA before; may be repeated.")
  List<LoraOption> loras = new ArrayList<>();

  @Option(
      names = "--name",
      paramLabel = "NAME",
      description = "Of the LoRA's files, without extension. Default: that of --from.")
  String name;

  @Option(
      names = "--precision",
      paramLabel = "TYPE",
      description =
          "${COMPLETION-CANDIDATES}. Default: F16 for a LoRA; the model's own if it is merged.")
  WeightPrecision precision;

  @Option(
      names = "--base-model",
      paramLabel = "ID",
      description = "The model's name for the card, such as owner/name on the Hugging Face Hub.")
  String baseModel = "";

  @Option(names = "--title", paramLabel = "TEXT", description = "Of the card.")
  String title;

  @Option(names = "--license", paramLabel = "ID", description = "For the card.")
  String license = "";

  @Option(names = "--threads", converter = Threads.class, description = Threads.DESCRIPTION)
  int threads;

  /** What is printed at the end. */
  record Result(Path directory, List<ExportedFile> files, String command) {}

  @Override
  public Integer call() {
    Path lora = Lora.file(from);
    DType dtype = WeightPrecision.dtype(precision);
    Set<ExportFormat> wanted = EnumSet.copyOf(formats);
    String stem = from.getFileName().toString().replaceFirst("\\.[^.]*$", "");
    ExportSettings settings =
        ExportSettings.DEFAULT
            .withFormats(wanted)
            .withName(name == null ? stem : name)
            .withPrecision(dtype == null ? DType.F16 : dtype, dtype);
    ModelFiles base =
        ModelFiles.find(
            model == null ? EmbeddedModel.directory() : model,
            wanted.contains(ExportFormat.MERGED) ? adapter : null,
            t5,
            loras.stream().map(l -> new ModelFiles.LoraFile(l.path(), l.scale())).toList(),
            false);
    ModelCard card =
        ModelCard.of(title == null ? settings.name() : title)
            .withBaseModel(baseModel)
            .withLicense(license);
    List<ExportedFile> files;
    common.stage("exporting");
    try (Signals.Work work = common.interruptible();
        Backend backend = Device.cpu().open(threads)) {
      files = Exports.convert(lora, adapter, base, settings, card, backend, out);
    }
    String command = Exports.command(out, base);
    if (common.json) {
      common.printJson(new Result(out, files, command));
    } else {
      files.forEach(
          file ->
              common.out().printf(Locale.ROOT, "%,14d  %s/%s%n", file.bytes(), out, file.file()));
      common.out().println("sample with:\n" + CommonOptions.pasteable(command));
      common.out().flush();
    }
    return ExitCode.OK;
  }
}
