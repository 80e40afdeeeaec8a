package dev.longalign.cli;

import dev.longalign.LongAlign;
import dev.longalign.LongAlignBuilder;
import dev.longalign.Precision;
import dev.longalign.pipeline.TextEncoding;
import dev.longalign.pipeline.VaeTiling;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Option;

/** Which model, and where it runs. */
final class EngineOptions {
  @Option(
      names = "--model",
      paramLabel = "DIR",
      description =
          "A diffusers directory (Stable Diffusion 1.x, 2.x, LongSD). Default: the small model in"
              + " the jar.")
  Path model;

  @Option(names = "--adapter", paramLabel = "DIR", description = "The text adapter.")
  Path adapter;

  @Option(
      names = "--lora",
      paramLabel = "FILE[:SCALE]",
      converter = LoraOption.Converter.class,
      description =
          "Merge a LoRA; may be repeated, merged in this order. The lora_vis.pt in the model's"
              + " directory is then left out, unless there is --own-lora.")
  List<LoraOption> loras = new ArrayList<>();

  @Option(
      names = "--own-lora",
      negatable = true,
      description =
          "Merge the lora_vis.pt in the model's directory, before others, or leave it out."
              + " Default: merge it if there is no --lora.")
  Boolean ownLora;

  @Option(names = "--t5", paramLabel = "DIR", description = "T5's tokenizer and encoder.")
  Path t5;

  @Option(
      names = "--encoding",
      description =
          "How prompts are encoded, one of: ${COMPLETION-CANDIDATES}; truncated is plain Stable"
              + " Diffusion. Default: longalign if there is an adapter, else segments.")
  TextEncoding encoding;

  @ArgGroup(validate = false)
  DeviceOption on = new DeviceOption();

  @Option(names = "--precision", description = "One of: ${COMPLETION-CANDIDATES}. Default: f32.")
  Precision precision;

  @Option(
      names = "--vae-tiling",
      description =
          "Large pictures through the autoencoder in tiles, one of: ${COMPLETION-CANDIDATES}."
              + " Default: auto, only where memory does not suffice for the whole.")
  VaeTiling vaeTiling;

  /** Opens everything, and shows what is being loaded. */
  LongAlign open(CommonOptions common) {
    return builder(common).build();
  }

  /** An engine with what these options name; all else may still be said. */
  LongAlignBuilder builder(CommonOptions common) {
    LongAlignBuilder builder =
        LongAlign.builder()
            .device(on.device)
            .threads(on.threads)
            .onLoading(part -> common.stage("loading " + part));
    if (precision != null) {
      builder.precision(precision);
    }
    if (vaeTiling != null) {
      builder.vaeTiling(vaeTiling);
    }
    if (model != null) {
      builder.model(model);
    }
    if (adapter != null) {
      builder.adapter(adapter);
    }
    if (t5 != null) {
      builder.t5(t5);
    }
    if (ownLora != null && ownLora) {
      builder.withOwnLora();
    } else if (ownLora != null) {
      builder.withoutOwnLora();
    }
    if (encoding != null) {
      builder.textEncoding(encoding);
    }
    loras.forEach(lora -> builder.lora(lora.path(), lora.scale()));
    return builder;
  }
}
