package dev.longalign.io;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import dev.longalign.LongAlignException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * A Stable Diffusion 1.x or 2.x model as diffusers stores it: {@code model_index.json} and one
 * directory per part. Beside the five parts that every such model has, others may lie in it ({@code
 * t5}, {@code adapter}, {@code denscore}).
 *
 * <pre>{@code
 * ModelDirectory model = ModelDirectory.open(Path.of("stable-diffusion-v1-5"));
 * int channels = model.config("unet").getInt("in_channels");
 * try (TensorFile weights = model.weights("unet")) { ... }
 * }</pre>
 */
public final class ModelDirectory {
  private static final String INDEX = "model_index.json";
  private static final List<String> REQUIRED =
      List.of("unet", "vae", "text_encoder", "tokenizer", "scheduler");

  /** By a part of the pipeline's class in lower case, first match first. */
  private static final Map<String, String> OTHER_PIPELINES = otherPipelines();

  private static final int MAX_SEARCHED = 2000;
  private static final String NEEDED =
      "; this method needs a Stable Diffusion 1.x or 2.x model in diffusers' layout, "
          + "for example stable-diffusion-v1-5";

  private final Path path;
  private final Config index;

  private ModelDirectory(Path path, Config index) {
    this.path = path;
    this.index = index;
  }

  private static Map<String, String> otherPipelines() {
    Map<String, String> kinds = new LinkedHashMap<>();
    kinds.put("xlinpaint", "a Stable Diffusion XL inpainting model");
    kinds.put("xl", "a Stable Diffusion XL model (two text encoders)");
    kinds.put("stablediffusion3", "a Stable Diffusion 3 model (a transformer, no UNet)");
    kinds.put("flux", "a Flux model (a transformer, no UNet)");
    kinds.put("inpaint", "an inpainting model (a UNet of 9 input channels)");
    kinds.put("pix2pix", "an InstructPix2Pix model (a UNet of 8 input channels)");
    kinds.put("upscale", "an upscaler");
    kinds.put("depth2img", "a depth-to-image model");
    kinds.put("controlnet", "a ControlNet with its model");
    kinds.put("adapter", "a T2I-Adapter with its model");
    kinds.put("imagevariation", "an image variation model (pictures in place of texts)");
    kinds.put("unclip", "an unCLIP model (pictures in place of texts)");
    kinds.put("gligen", "a GLIGEN model (boxes beside the text)");
    kinds.put("animatediff", "an AnimateDiff model (video)");
    kinds.put("video", "a video model");
    kinds.put("audio", "a model of sounds");
    kinds.put("cascade", "a Stable Cascade model");
    kinds.put("wuerstchen", "a Wuerstchen model");
    kinds.put("kandinsky", "a Kandinsky model");
    kinds.put("deepfloyd", "a DeepFloyd IF model (pixels, no latents)");
    kinds.put("ifpipeline", "a DeepFloyd IF model (pixels, no latents)");
    kinds.put("pixart", "a diffusion transformer (PixArt; no UNet)");
    kinds.put("hunyuan", "a diffusion transformer (Hunyuan; no UNet)");
    kinds.put("sana", "a diffusion transformer (Sana; no UNet)");
    return kinds;
  }

  /**
   * Opens a directory and checks that it is a model of the right kind with all its parts.
   *
   * @throws LongAlignException if not; the message says what was found and what to do
   */
  public static ModelDirectory open(Path path) {
    if (Files.isRegularFile(path)) {
      throw new LongAlignException(
          path
              + " is a single file, expected a diffusers directory (with "
              + INDEX
              + "); a single-file checkpoint is converted once: longalign convert "
              + path
              + " --out DIRECTORY");
    } else if (!Files.isDirectory(path)) {
      throw new LongAlignException(path + ": no such directory" + NEEDED);
    } else if (!Files.isRegularFile(path.resolve(INDEX))) {
      throw new LongAlignException(path + " has no " + INDEX + elsewhere(path));
    }
    ModelDirectory model = new ModelDirectory(path, Config.read(path.resolve(INDEX)));
    model.refuseOtherKinds();
    model.require(REQUIRED.toArray(String[]::new));
    return model;
  }

  public Path path() {
    return path;
  }

  /** The class that {@code model_index.json} names; empty if it names none. */
  public String pipelineClass() {
    return index.getString("_class_name", "");
  }

  /** {@code model_index.json}. */
  public Config index() {
    return index;
  }

  /** The names of the directories that hold parts, sorted. */
  public List<String> components() {
    try (Stream<Path> files = Files.list(path)) {
      return files
          .filter(Files::isDirectory)
          .map(directory -> directory.getFileName().toString())
          .filter(name -> !name.startsWith("."))
          .sorted()
          .toList();
    } catch (IOException failure) {
      throw new LongAlignException(path + " cannot be read: " + Reasons.of(failure), failure);
    }
  }

  public boolean has(String component) {
    return Files.isDirectory(path.resolve(component));
  }

  /**
   * Demands parts that not every model has, all at once.
   *
   * @throws LongAlignException listing the missing ones and those that are there
   */
  public void require(String... names) {
    List<String> missing = Stream.of(names).filter(name -> !has(name)).toList();
    if (!missing.isEmpty()) {
      throw new LongAlignException(
          path
              + " lacks the directories "
              + missing
              + ", found "
              + components()
              + " (an incomplete download?)");
    }
  }

  public ComponentDirectory component(String name) {
    require(name);
    return ComponentDirectory.open(path.resolve(name));
  }

  /** The config of a part; messages name its file. */
  public Config config(String component) {
    return component(component).config();
  }

  /** The weights of a part, to be closed by the caller. */
  public TensorFile weights(String component) {
    return component(component).weights();
  }

  /** The class that {@code model_index.json} gives for a part. */
  public Optional<String> className(String component) {
    JsonElement entry = index.json().get(component);
    if (entry == null || !entry.isJsonArray()) {
      return Optional.empty();
    }
    JsonArray pair = entry.getAsJsonArray();
    boolean named = pair.size() == 2 && pair.get(1).isJsonPrimitive();
    return named ? Optional.of(pair.get(1).getAsString()) : Optional.empty();
  }

  /** What the directory holds, for a person to read. */
  public ModelDescription describe() {
    return ModelDescription.of(this);
  }

  private void refuseOtherKinds() {
    String name = pipelineClass();
    String kind =
        OTHER_PIPELINES.entrySet().stream()
            .filter(other -> name.toLowerCase(Locale.ROOT).contains(other.getKey()))
            .map(Map.Entry::getValue)
            .findFirst()
            .orElse(null);
    if (has("text_encoder_2") && has("unet")) {
      kind = "a Stable Diffusion XL model (two text encoders)";
    } else if (kind == null && has("transformer") && !has("unet")) {
      kind = "a diffusion transformer (no UNet)";
    } else if (kind == null && has("controlnet")) {
      kind = "a ControlNet with its model";
    } else if (kind == null) {
      kind = kindOfUNet();
    }
    if (kind != null) {
      String shown = name.isEmpty() ? "" : " (" + INDEX + ": " + Names.printable(name) + ")";
      throw new LongAlignException(path + " is " + kind + shown + NEEDED);
    }
  }

  /** By what the UNet reads beside the latents; null if nothing. */
  private String kindOfUNet() {
    int channels;
    int latents;
    try {
      channels = config("unet").getInt("in_channels", 4);
      latents = config("vae").getInt("latent_channels", 4);
    } catch (LongAlignException unreadable) {
      return null; // told by whoever needs it
    }
    return switch (channels - latents) {
      case 0 -> null;
      case 1 -> "a depth-to-image model (a UNet of " + channels + " input channels)";
      case 3 -> "an upscaler (a UNet of " + channels + " input channels)";
      case 4 -> "an InstructPix2Pix model (a UNet of " + channels + " input channels)";
      case 5 -> "an inpainting model (a UNet of " + channels + " input channels)";
      default ->
          "a model of another kind (a UNet of "
              + channels
              + " input channels, latents of "
              + latents
              + ")";
    };
  }

  /** Where a model may have been meant instead: the parent of a part, or a directory below. */
  private static String elsewhere(Path path) {
    Path parent = path.toAbsolutePath().normalize().getParent();
    if (parent != null && Files.isRegularFile(parent.resolve(INDEX))) {
      return "; it is a part of a model: give " + parent;
    }
    List<Path> below = new ArrayList<>();
    try (Stream<Path> files = Files.walk(path, 3)) {
      files
          .limit(MAX_SEARCHED)
          .filter(file -> file.endsWith(INDEX))
          .limit(3)
          .map(Path::getParent)
          .forEach(below::add);
    } catch (IOException | UncheckedIOException unreadable) {
      below.clear();
    }
    if (!below.isEmpty()) {
      return "; did you mean "
          + String.join(" or ", below.stream().map(Path::toString).toList())
          + "?";
    }
    try (Stream<Path> files = Files.list(path)) {
      List<String> found =
          files.map(file -> file.getFileName().toString()).sorted().limit(8).toList();
      boolean checkpoint =
          found.stream().anyMatch(file -> file.endsWith(".safetensors") || file.endsWith(".ckpt"));
      return " (found "
          + found
          + ")"
          + (checkpoint
              ? "; single-file checkpoints are converted once: longalign convert FILE --out DIRECTORY"
              : "")
          + NEEDED;
    } catch (IOException unreadable) {
      return NEEDED;
    }
  }
}
