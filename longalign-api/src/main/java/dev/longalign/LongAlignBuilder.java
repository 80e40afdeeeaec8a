package dev.longalign;

import dev.longalign.pipeline.ModelFiles;
import dev.longalign.pipeline.TextEncoding;
import dev.longalign.pipeline.VaeTiling;
import dev.longalign.tensor.Device;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/**
 * Settings of a {@link LongAlign}. Without any, the embedded model on the CPU. A builder serves one
 * thread and may build several engines.
 */
public final class LongAlignBuilder {
  private Path model;
  private Path adapter;
  private Path t5;
  private final List<ModelFiles.LoraFile> loras = new ArrayList<>();
  private Boolean ownLora;
  private TextEncoding textEncoding;
  private Device device = Device.cpu();
  private Precision precision;
  private int threads;
  private boolean keepEncoders = true;
  private VaeTiling vaeTiling;
  private EarlierParts earlier;
  private Consumer<String> loading = part -> {};

  LongAlignBuilder() {}

  /**
   * A diffusers directory, as downloaded; {@code t5/}, {@code adapter/} and {@code lora_vis.pt} in
   * it are used if they are there and nothing else is named.
   */
  public LongAlignBuilder model(Path directory) {
    model = directory;
    return this;
  }

  /** The text adapter's directory ({@code config.json} and weights). */
  public LongAlignBuilder adapter(Path directory) {
    adapter = directory;
    return this;
  }

  /** T5's directory (tokenizer, {@code config.json}, weights); needed with an adapter. */
  public LongAlignBuilder t5(Path directory) {
    t5 = directory;
    return this;
  }

  /**
   * Merges a LoRA into the UNet, after those named before. The one in the model's directory is then
   * left out, unless {@link #withOwnLora()} is called too.
   */
  public LongAlignBuilder lora(Path file) {
    return lora(file, 1f);
  }

  /** Merges {@code scale} times a LoRA into the UNet, after those named before. */
  public LongAlignBuilder lora(Path file, float scale) {
    loras.add(new ModelFiles.LoraFile(file, scale));
    return this;
  }

  /** Merges the LoRA that lies in the model's directory before those that are named. */
  public LongAlignBuilder withOwnLora() {
    ownLora = true;
    return this;
  }

  /** Leaves out the LoRA that lies in the model's directory. */
  public LongAlignBuilder withoutOwnLora() {
    ownLora = false;
    return this;
  }

  /**
   * Takes what made an earlier picture for all that is not named: precision, encoding, and model,
   * adapter, T5 and LoRAs as far as they are found: in the jar, where this machine has used them
   * before, or in {@code places}. Files are told by their hashes, or by their names where an
   * earlier version noted none. {@link Provenance#differences} says afterwards what is not as it
   * was.
   *
   * @param places directories that the files may lie in
   */
  public LongAlignBuilder like(Provenance was, Path... places) {
    earlier = new EarlierParts(was, List.of(places));
    return this;
  }

  /**
   * How prompts reach the UNet; without it, {@link TextEncoding#LONGALIGN} if there is an adapter,
   * else {@link TextEncoding#SEGMENTS}.
   */
  public LongAlignBuilder textEncoding(TextEncoding encoding) {
    textEncoding = encoding;
    return this;
  }

  public LongAlignBuilder device(Device where) {
    device = where;
    return this;
  }

  public LongAlignBuilder precision(Precision computeIn) {
    precision = computeIn;
    return this;
  }

  /** CPU threads; 0, the default, means one per core. */
  public LongAlignBuilder threads(int count) {
    Checks.range("threads", count, 0, 4096);
    threads = count;
    return this;
  }

  /** False closes the text encoders after every prompt: slower, but their memory is free. */
  public LongAlignBuilder keepEncoders(boolean keep) {
    keepEncoders = keep;
    return this;
  }

  /** Is told what is about to be loaded, in a word or two ("UNet"): large models take minutes. */
  public LongAlignBuilder onLoading(Consumer<String> listener) {
    loading = listener;
    return this;
  }

  /**
   * Whether large pictures go through the autoencoder in tiles; by default only where memory does
   * not suffice for the whole.
   */
  public LongAlignBuilder vaeTiling(VaeTiling tiling) {
    vaeTiling = tiling;
    return this;
  }

  /**
   * Opens everything.
   *
   * @throws LongAlignException if a file is missing, damaged or does not suit the others; the
   *     message says which, what was expected and what was found
   */
  public LongAlign build() {
    loading.accept("model");
    boolean recall = earlier != null;
    Path directory = model != null ? model : recall ? earlier.model() : EmbeddedModel.directory();
    List<ModelFiles.LoraFile> merged = new ArrayList<>(loras);
    boolean own = ownLora == null || ownLora;
    if (recall && loras.isEmpty() && ownLora == null) {
      merged = earlier.loras(directory);
      own = false;
    } else if (ownLora != null && ownLora && !loras.isEmpty()) {
      merged.add(0, new ModelFiles.LoraFile(ModelFiles.ownLora(directory), 1));
    }
    ModelFiles files =
        ModelFiles.find(
            directory,
            adapter == null && recall ? earlier.adapter(directory) : adapter,
            t5 == null && recall ? earlier.t5(directory) : t5,
            merged,
            own);
    return new LongAlign(
        files,
        textEncoding == null && recall ? earlier.encoding() : textEncoding,
        device,
        precision != null ? precision : recall ? earlier.precision() : Precision.F32,
        threads,
        keepEncoders,
        vaeTiling != null ? vaeTiling : recall ? earlier.vaeTiling() : VaeTiling.AUTO,
        loading);
  }

  /** Builds an engine for one picture and closes it again: {@code builder().sample("A ...")}. */
  public SampleResult sample(String prompt) {
    try (LongAlign longAlign = build()) {
      return longAlign.sample(SampleRequest.of(prompt));
    }
  }
}
