package dev.longalign;

import dev.longalign.io.ContentHashes;
import dev.longalign.pipeline.ModelFiles;
import dev.longalign.pipeline.ModelPart;
import dev.longalign.pipeline.TextEncoding;
import dev.longalign.pipeline.VaeTiling;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;

/** Looks for what made an earlier picture, on this machine. What it does not find is left out. */
final class EarlierParts {
  private final Provenance was;
  private final List<Path> places;
  private final ContentHashes hashes = ContentHashes.in(EmbeddedModel.cacheRoot());

  EarlierParts(Provenance was, List<Path> places) {
    this.was = was;
    this.places = places;
  }

  /** The model's directory; the embedded one's if it is not found. */
  Path model() {
    Path embedded = EmbeddedModel.directory();
    return find(was.model(), embedded, ModelPart::model).orElse(embedded);
  }

  /** Null if there was none, it is not found, or it is the model's own. */
  Path adapter(Path model) {
    return component(was.adapter(), model.resolve("adapter"));
  }

  /** As {@link #adapter}. */
  Path t5(Path model) {
    return component(was.t5(), model.resolve("t5"));
  }

  private Path component(Optional<Provenance.Part> part, Path own) {
    return part.flatMap(wanted -> find(wanted, own, ModelPart::of))
        .filter(found -> !found.equals(own))
        .orElse(null);
  }

  List<ModelFiles.LoraFile> loras(Path model) {
    List<ModelFiles.LoraFile> found = new ArrayList<>();
    for (Provenance.LoraPart lora : was.loras()) {
      find(lora.file(), ModelFiles.ownLora(model), ModelPart::of)
          .ifPresent(file -> found.add(new ModelFiles.LoraFile(file, lora.scale())));
    }
    return found;
  }

  /** Null where the model decides: it may lack the adapter that there was. */
  TextEncoding encoding() {
    return was.encoding().filter(encoding -> encoding != TextEncoding.LONGALIGN).orElse(null);
  }

  /** Tiles where there were tiles: their seams are part of the picture. */
  VaeTiling vaeTiling() {
    return was.tiled() ? VaeTiling.ALWAYS : VaeTiling.AUTO;
  }

  Precision precision() {
    return Arrays.stream(Precision.values())
        .filter(precision -> precision.toString().equals(was.precision()))
        .findFirst()
        .orElse(Precision.F32);
  }

  private Optional<Path> find(Provenance.Part wanted, Path likely, Function<Path, ModelPart> read) {
    List<Path> candidates = new ArrayList<>(List.of(likely));
    wanted.sha256().ifPresent(sha256 -> candidates.addAll(hashes.seen(sha256)));
    if (wanted.name().matches("[^/\\\\\\x00]+") && !wanted.name().matches("\\.+")) {
      places.forEach(place -> candidates.add(place.resolve(wanted.name())));
    }
    return candidates.stream()
        .filter(Files::exists)
        .filter(candidate -> matches(wanted, candidate, read))
        .findFirst();
  }

  private boolean matches(Provenance.Part wanted, Path candidate, Function<Path, ModelPart> read) {
    try {
      ModelPart part = read.apply(candidate);
      return wanted.sha256().isEmpty()
          ? part.name().equals(wanted.name())
          : hashes.of(candidate, part.files()).equals(wanted.sha256().get());
    } catch (LongAlignException other) {
      return false; // something else of this name, or damaged
    }
  }
}
