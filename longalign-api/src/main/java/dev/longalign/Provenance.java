package dev.longalign;

import dev.longalign.io.Names;
import dev.longalign.io.Software;
import dev.longalign.pipeline.TextEncoding;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * What made a picture; travels inside its PNG. File names only, no paths: pictures are published.
 *
 * @param model the model directory: UNet, VAE, CLIP and noise schedule
 * @param adapter the text adapter, if it took part
 * @param t5 T5, if it took part
 * @param loras in the order of merging
 * @param encoding how prompts reached the UNet; empty if an earlier version did not note it
 * @param tiled whether the autoencoder worked in tiles
 * @param device as {@code Device.toString()} says, {@code cpu}
 * @param backend what computed there, and on a CPU with how many threads: the last bits depend on
 *     it; empty if an earlier version did not note it
 * @param precision {@code f32} or {@code bf16}
 * @param software name and version of this library
 */
public record Provenance(
    Part model,
    Optional<Part> adapter,
    Optional<Part> t5,
    List<LoraPart> loras,
    Optional<TextEncoding> encoding,
    boolean tiled,
    String device,
    Optional<String> backend,
    String precision,
    String software) {

  /**
   * A file or directory.
   *
   * @param sha256 of its content, 64 digits ({@link dev.longalign.io.ContentHashes} says what a
   *     directory's is); empty if an earlier version did not note it, or it changed under an open
   *     engine
   */
  public record Part(String name, Optional<String> sha256) {
    private boolean is(Part other) {
      return sha256.isPresent() && other.sha256.isPresent()
          ? sha256.equals(other.sha256)
          : name.equals(other.name);
    }

    private boolean known() {
      return sha256.isPresent();
    }

    @Override
    public String toString() {
      return Names.printable(name)
          + sha256.map(hash -> " (SHA-256 " + shortened(hash) + ")").orElse("");
    }

    /** As web UIs show a hash. */
    private static String shortened(String hash) {
      return hash.substring(0, Math.min(10, hash.length())) + "...";
    }
  }

  /** A LoRA and how much of it was merged. */
  public record LoraPart(Part file, float scale) {
    @Override
    public String toString() {
      return file + ", scale " + scale;
    }
  }

  public Provenance {
    loras = List.copyOf(loras);
  }

  /** The same engine's, of a picture that was decoded in tiles or whole. */
  Provenance decoded(boolean inTiles) {
    return new Provenance(
        model, adapter, t5, loras, encoding, inTiles, device, backend, precision, software);
  }

  /** {@code longalign-java} and the version in the jar's manifest. */
  public static String thisSoftware() {
    return Software.name();
  }

  /**
   * Why a picture of this provenance may look otherwise if it is sampled with what is here: a
   * sentence for each thing that differs, or of which it is not known.
   *
   * @param here {@link LongAlign#provenance()}
   */
  public List<String> differences(Provenance here) {
    List<String> found = new ArrayList<>();
    compare(found, "model", Optional.of(model), Optional.of(here.model));
    compare(found, "text adapter", adapter, here.adapter);
    if (t5.isPresent() || backend.isPresent()) { // earlier versions did not note it
      compare(found, "T5", t5, here.t5);
    }
    compareLoras(found, here);
    if (encoding.isPresent()) {
      compare(found, "encoding", encoding.get(), here.encoding.orElse(null));
    } else {
      found.add(
          "encoding: the picture does not say which; here " + name(here.encoding.orElse(null)));
    }
    compare(found, "autoencoder", decoding(tiled), decoding(here.tiled));
    compare(found, "precision", precision, here.precision);
    if (backend.isPresent() && device.equals(here.device)) {
      compare(found, "computed by", backend.get(), here.backend.orElse(""));
    } else {
      compare(found, "device", device, here.device);
    }
    compare(found, "software", software, here.software);
    return found;
  }

  private static String decoding(boolean tiled) {
    return tiled ? "in tiles" : "whole";
  }

  private static void compare(List<String> found, String what, Object was, Object is) {
    if (!was.equals(is)) {
      found.add(what + ": " + name(was) + " made the picture, here " + name(is));
    }
  }

  private static String name(Object value) {
    return value instanceof TextEncoding encoding
        ? encoding.name().toLowerCase(Locale.ROOT)
        : Names.printable(String.valueOf(value));
  }

  private static void compare(
      List<String> found, String what, Optional<Part> was, Optional<Part> is) {
    if (was.isEmpty() && is.isEmpty()) {
      return;
    } else if (was.isEmpty() || is.isEmpty() || !was.get().is(is.get())) {
      compare(
          found,
          what,
          was.map(Part::toString).orElse("none"),
          is.map(Part::toString).orElse("none"));
    } else if (!was.get().known() || !is.get().known()) {
      found.add(
          what
              + ": "
              + Names.printable(was.get().name)
              + " here may have other content than it had, no hash was noted");
    }
  }

  private void compareLoras(List<String> found, Provenance here) {
    List<LoraPart> others = new ArrayList<>(here.loras);
    for (LoraPart lora : loras) {
      Optional<LoraPart> same = others.stream().filter(o -> o.file.is(lora.file)).findFirst();
      if (same.isEmpty()) {
        found.add("LoRA: " + lora + " made the picture, here it is not merged");
        continue;
      }
      others.remove(same.get());
      compare(found, "LoRA", Optional.of(lora.file), Optional.of(same.get().file));
      if (lora.scale != same.get().scale) {
        compare(
            found,
            "scale of LoRA " + Names.printable(lora.file.name),
            lora.scale,
            same.get().scale);
      }
    }
    others.forEach(
        lora -> found.add("LoRA: " + lora + " is merged here, it did not make the picture"));
  }
}
