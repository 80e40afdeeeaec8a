package dev.longalign.pipeline;

import dev.longalign.LongAlignException;
import dev.longalign.io.ComponentDirectory;
import dev.longalign.io.Config;
import dev.longalign.io.ModelDirectory;
import dev.longalign.io.TensorFile;
import dev.longalign.model.AutoencoderKL;
import dev.longalign.model.AutoencoderKLConfig;
import dev.longalign.model.Lora;
import dev.longalign.model.TextAdapter;
import dev.longalign.model.TextAdapterConfig;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.model.UNet2DConditionConfig;
import dev.longalign.nn.FileWeights;
import dev.longalign.nn.LayerBranches;
import dev.longalign.nn.WeightSource;
import dev.longalign.scheduler.Scheduler;
import dev.longalign.scheduler.SchedulerConfig;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The files that make up a Long Stable Diffusion, and how each is loaded.
 *
 * @param model the diffusers directory
 * @param adapter the text adapter's directory, if there is one
 * @param t5 T5's directory, if there is one
 * @param loras in the order of merging
 */
public record ModelFiles(
    ModelDirectory model, Optional<Path> adapter, Optional<Path> t5, List<LoraFile> loras) {

  /** The LoRA of the align stage inside a complete directory. */
  private static final String OWN_LORA = "lora_vis.pt";

  /** A LoRA and how much of it is merged. */
  public record LoraFile(Path file, float scale) {
    public LoraFile {
      if (!Float.isFinite(scale)) {
        throw new LongAlignException(file + ": expected a finite LoRA scale, found " + scale);
      }
    }
  }

  public ModelFiles {
    loras = List.copyOf(loras);
  }

  /**
   * @param directory a diffusers directory; {@code adapter/}, {@code t5/} and {@code lora_vis.pt}
   *     in it serve where the other arguments name nothing
   * @param adapter or null
   * @param t5 or null
   * @param ownLora whether a {@code lora_vis.pt} in the directory is merged if {@code loras} is
   *     empty
   * @throws LongAlignException if something needed is missing
   */
  public static ModelFiles find(
      Path directory, Path adapter, Path t5, List<LoraFile> loras, boolean ownLora) {
    ModelDirectory model = ModelDirectory.open(directory);
    model.require("unet", "vae", "text_encoder", "tokenizer", "scheduler");
    Optional<Path> foundAdapter = given(adapter).or(() -> inside(directory, "adapter"));
    Optional<Path> foundT5 = given(t5).or(() -> inside(directory, "t5"));
    if (foundAdapter.isPresent() && foundT5.isEmpty()) {
      throw new LongAlignException(
          foundAdapter.get()
              + ": a text adapter reads T5's hidden states: expected a T5 directory, found none in "
              + directory
              + "; name it (--t5, or t5(...) on the builder)");
    }
    List<LoraFile> used = loras;
    Path own = ownLora(directory);
    if (loras.isEmpty() && ownLora && Files.isRegularFile(own)) {
      used = List.of(new LoraFile(own, 1));
    }
    List<LoraFile> files =
        used.stream().map(lora -> new LoraFile(Lora.file(lora.file()), lora.scale())).toList();
    return new ModelFiles(model, foundAdapter, foundT5, files);
  }

  /** Where the LoRA of the align stage lies in a complete directory. */
  public static Path ownLora(Path directory) {
    return directory.resolve(OWN_LORA);
  }

  private static Optional<Path> given(Path path) {
    return Optional.ofNullable(path);
  }

  private static Optional<Path> inside(Path directory, String name) {
    return Optional.of(directory.resolve(name)).filter(Files::isDirectory);
  }

  /**
   * Every file but the LoRAs, by its place in a complete diffusers directory: {@code
   * unet/config.json}, {@code t5/model.safetensors}. Of weights, only those that are read; the
   * adapter, T5 and Denscore are there if they exist.
   */
  public Map<String, Path> files() {
    return ModelFileList.of(this);
  }

  /** What requests that do not say are sampled with. */
  public SamplingDefaults defaults() {
    return SamplingDefaults.read(model.path());
  }

  /** The side of the pictures that the UNet was trained on. */
  public int nativeSize() {
    int levels = model.config("vae").getIntList("block_out_channels").size();
    return UNet2DConditionConfig.of(model.config("unet")).sampleSize() << (levels - 1);
  }

  /**
   * The side of the pictures to train on.
   *
   * @param resolution wanted; 0 for {@link #nativeSize}
   * @throws LongAlignException if it is no multiple of what the autoencoder shrinks sides by
   */
  public int side(int resolution) {
    int levels = model.config("vae").getIntList("block_out_channels").size();
    int factor = 1 << (levels - 1);
    if (resolution % factor != 0) {
      throw new LongAlignException(
          "resolution: expected a multiple of "
              + factor
              + ", by which the autoencoder of "
              + model.path()
              + " shrinks sides, found "
              + resolution);
    }
    return resolution > 0 ? resolution : nativeSize();
  }

  /** The UNet with every LoRA merged. */
  public UNet2DCondition loadUNet(Backend backend, DType dtype) {
    return loadUNet(backend, dtype, LayerBranches.NONE);
  }

  /**
   * The UNet with every LoRA merged, and with what runs beside its layers.
   *
   * @param branches for example of a LoRA in training
   */
  public UNet2DCondition loadUNet(Backend backend, DType dtype, LayerBranches branches) {
    UNet2DConditionConfig config = UNet2DConditionConfig.of(model.config("unet"));
    try (TensorFile weights = model.weights("unet")) {
      return UNet2DCondition.load(config, mergedWeights(weights), backend, dtype, branches);
    }
  }

  /** The UNet's weights with every LoRA merged. */
  WeightSource mergedWeights(TensorFile weights) {
    UNet2DConditionConfig config = UNet2DConditionConfig.of(model.config("unet"));
    WeightSource source = new FileWeights(weights);
    for (LoraFile lora : loras) {
      source =
          Lora.read(lora.file(), UNet2DCondition.layers(config)).mergedInto(source, lora.scale());
    }
    return source;
  }

  public AutoencoderKL loadVae(Backend backend, DType dtype) {
    try (TensorFile weights = model.weights("vae")) {
      return AutoencoderKL.load(
          AutoencoderKLConfig.of(model.config("vae")),
          new FileWeights(weights, AutoencoderKL::currentName),
          backend,
          dtype);
    }
  }

  /** Null if there is no adapter. */
  public TextAdapter loadAdapter(Backend backend) {
    if (adapter.isEmpty()) {
      return null;
    }
    ComponentDirectory directory = ComponentDirectory.open(adapter.get());
    TextAdapterConfig config = TextAdapterConfig.of(directory.config());
    checkWidth("in_dim", config.inDim(), t5.orElseThrow(), "d_model");
    checkWidth("out_dim", config.outDim(), model.component("unet").path(), "cross_attention_dim");
    try (TensorFile weights = directory.weights()) {
      return TextAdapter.load(config, new FileWeights(weights), backend, DType.F32);
    }
  }

  /** An adapter that was trained for other networks is told by its widths. */
  private void checkWidth(String key, int width, Path neighbour, String neighboursKey) {
    Config config = ComponentDirectory.open(neighbour).config();
    boolean one = config.has(neighboursKey) && !config.isList(neighboursKey);
    if (one && config.getInt(neighboursKey) != width) {
      throw new LongAlignException(
          adapter.orElseThrow()
              + ": a text adapter for another model: expected "
              + key
              + " "
              + config.getInt(neighboursKey)
              + " as "
              + neighboursKey
              + " of "
              + neighbour
              + ", found "
              + width
              + "; use the adapter that belongs to this model");
    }
  }

  /** The noise schedule with a scheduler's own settings. */
  public SchedulerConfig schedulerConfig(Scheduler scheduler) {
    return SchedulerConfig.read(
        model.component("scheduler").file("scheduler_config.json"), scheduler);
  }

  /** Where the text side lies. */
  public PromptEncoder.Files textFiles() {
    return new PromptEncoder.Files(
        model.component("tokenizer").path(),
        model.component("text_encoder").path(),
        t5.orElse(null));
  }
}
