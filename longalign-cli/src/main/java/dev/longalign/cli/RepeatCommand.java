package dev.longalign.cli;

import dev.longalign.EmbeddedModel;
import dev.longalign.Generator;
import dev.longalign.LongAlignException;
import dev.longalign.PictureSettings;
import dev.longalign.Provenance;
import dev.longalign.SampleRequest;
import dev.longalign.Splitter;
import dev.longalign.io.ContentHashes;
import dev.longalign.io.Names;
import dev.longalign.io.Seeds;
import dev.longalign.io.ShellCommand;
import dev.longalign.pipeline.ModelFiles;
import dev.longalign.pipeline.ModelPart;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * The command that makes a picture again, with every setting as an option: for who wants to see or
 * change them. Files are those that this machine has used, else names.
 */
final class RepeatCommand {
  private final ContentHashes hashes = ContentHashes.in(EmbeddedModel.cacheRoot());
  private final ShellCommand command = new ShellCommand("longalign", "sample");
  private final List<String> notFound = new ArrayList<>();
  private final PictureSettings settings;
  private final Path picture;

  RepeatCommand(PictureSettings settings, Path picture) {
    this.settings = settings;
    this.picture = picture;
    settings.provenance().ifPresent(this::parts);
    request(settings.request());
  }

  /** What is to be replaced in the command by the place where it lies. */
  List<String> notFound() {
    return notFound;
  }

  @Override
  public String toString() {
    return command.toString();
  }

  private void parts(Provenance made) {
    Optional<Path> model = found(made.model());
    boolean embedded = isEmbedded(made.model());
    if (!embedded) {
      option("--model", made.model(), "");
    }
    Optional<Path> directory = embedded ? Optional.of(EmbeddedModel.directory()) : model;
    made.t5().filter(t5 -> !isOwn(t5, directory, "t5")).ifPresent(t5 -> option("--t5", t5, ""));
    made.adapter()
        .filter(adapter -> !isOwn(adapter, directory, "adapter"))
        .ifPresent(adapter -> option("--adapter", adapter, ""));
    List<Provenance.LoraPart> loras = made.loras();
    boolean own =
        !loras.isEmpty()
            && loras.get(0).scale() == 1
            && isOwn(loras.get(0).file(), directory, ModelFiles.ownLora(Path.of("")).toString());
    if (loras.isEmpty()) {
      command.add("--no-own-lora");
    } else if (own && loras.size() > 1) {
      command.add("--own-lora");
    }
    loras
        .subList(own ? 1 : 0, loras.size())
        .forEach(lora -> option("--lora", lora.file(), ":" + lora.scale()));
    made.encoding().ifPresent(encoding -> command.option("--encoding", word(encoding)));
    command.option("--precision", made.precision());
    if (made.tiled()) {
      command.option("--vae-tiling", "always");
    }
    if (!made.device().equals("cpu")) {
      command.option("--device", made.device());
    }
  }

  private void request(SampleRequest request) {
    request.scheduler().ifPresent(s -> command.option("--scheduler", word(s)));
    request.karrasSigmas().ifPresent(karras -> command.add(karras ? "--karras" : "--no-karras"));
    request.steps().ifPresent(steps -> command.option("--steps", steps));
    request.guidanceScale().ifPresent(guidance -> command.option("--guidance", guidance));
    command.option("--seed", Seeds.format(request.seeds().get(0)));
    request.width().ifPresent(width -> command.option("--width", width));
    request.height().ifPresent(height -> command.option("--height", height));
    if (request.eta() != 0) {
      command.option("--eta", request.eta());
    }
    if (request.generator() != Generator.TORCH_CPU) {
      command.option("--generator", word(request.generator()));
    }
    if (request.splitter() != Splitter.REFERENCE) {
      command.option("--splitter", word(request.splitter()));
    }
    if (settings.fromInitImage()) {
      command.option("--strength", request.strength()).option("--init-image", "INIT.png");
      notFound.add(
          "INIT.png: put the picture that it was made from"
              + settings
                  .initImage()
                  .map(hash -> " (SHA-256 of its pixels " + hash + ")")
                  .orElse(""));
    }
    if (!isPlain(request.prompt()) || !isPlain(request.negativePrompt())) {
      command.option("--from-png", picture); // a shell or a terminal would not keep the text
      return;
    }
    if (!request.negativePrompt().isEmpty()) {
      command.option("--negative", request.negativePrompt());
    }
    command.last(request.prompt());
  }

  /** Whether a text survives a terminal, a shell and the reading of arguments. */
  private static boolean isPlain(String text) {
    boolean readOtherwise = text.equals("-") || text.startsWith("@");
    return !readOtherwise
        && text.equals(Names.printableText(text, Integer.MAX_VALUE))
        && !text.contains("\t");
  }

  private static String word(Enum<?> constant) {
    return constant.name().toLowerCase(Locale.ROOT);
  }

  private void option(String name, Provenance.Part part, String suffix) {
    Optional<Path> path = found(part);
    if (path.isEmpty()) {
      notFound.add(Names.printable(part.name()) + ": put the path of it, it was not found here");
    }
    command.option(name, path.map(Path::toString).orElse(Names.printable(part.name())) + suffix);
  }

  private Optional<Path> found(Provenance.Part part) {
    return part.sha256().flatMap(hash -> hashes.seen(hash).stream().findFirst());
  }

  private boolean isEmbedded(Provenance.Part model) {
    Path embedded = EmbeddedModel.directory();
    return model
        .sha256()
        .map(hash -> hash.equals(hash(ModelPart.model(embedded))))
        .orElseGet(() -> model.name().equals(ModelPart.model(embedded).name()));
  }

  private boolean isOwn(Provenance.Part part, Optional<Path> model, String name) {
    Optional<Path> own = model.map(directory -> directory.resolve(name)).filter(Files::exists);
    return own.isPresent()
        && part.sha256()
            .map(hash -> hash.equals(hash(ModelPart.of(own.get()))))
            .orElseGet(() -> part.name().equals(name));
  }

  private String hash(ModelPart part) {
    try {
      return hashes.of(part.path(), part.files());
    } catch (LongAlignException unreadable) {
      return "";
    }
  }
}
