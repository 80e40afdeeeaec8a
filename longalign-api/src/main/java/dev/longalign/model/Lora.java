package dev.longalign.model;

import dev.longalign.LongAlignException;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFile;
import dev.longalign.io.TensorFiles;
import dev.longalign.nn.LayerBranches;
import dev.longalign.nn.LayerSpec;
import dev.longalign.nn.WeightSource;
import dev.longalign.tensor.DType;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A low-rank adaptation of a UNet (Hu et al. 2021): {@code W + scale * up down} for some of its
 * layers. Read are this method's own bare lists ({@code s28750_lora_vis.pt}), in which the position
 * is the only name, and files with the names of kohya's scripts, PEFT and diffusers.
 *
 * <pre>{@code
 * Lora align = Lora.read(Path.of("s28750_lora_vis.pt"), UNet2DCondition.layers(config));
 * WeightSource merged = align.mergedInto(source, 1);                       // costs nothing at run time
 * UNet2DCondition unet = UNet2DCondition.load(config, merged, backend, dtype);
 *
 * UNet2DCondition.load(config, source, backend, dtype, align.injected(1)); // leaves the weights as they are
 * }</pre>
 */
public final class Lora {
  private static final Logger LOG = LoggerFactory.getLogger(Lora.class);

  /** What PEFT and diffusers call the file in a directory of theirs. */
  private static final List<String> IN_DIRECTORIES =
      List.of(
          "adapter_model.safetensors",
          "pytorch_lora_weights.safetensors",
          "adapter_model.bin",
          "pytorch_lora_weights.bin");

  private final String source;
  private final Map<String, Entry> entries;
  private final int ignoredTextEncoderTensors;

  Lora(String source, Map<String, Entry> entries, int ignoredTextEncoderTensors) {
    this.source = source;
    this.entries = Collections.unmodifiableMap(new LinkedHashMap<>(entries));
    this.ignoredTextEncoderTensors = ignoredTextEncoderTensors;
  }

  /**
   * The factors of one layer.
   *
   * @param up [out, r], or [out, r, 1, 1]
   * @param down [r, in], for a convolution [r, in, kh, kw]
   * @param scale alpha / rank, 1 if the file says nothing
   */
  public record Entry(LayerSpec layer, StoredTensor up, StoredTensor down, float scale) {
    public int rank() {
      return down.shape().intDim(0);
    }
  }

  /** What to do with tensors for the text encoder, which this method keeps frozen. */
  public enum TextEncoderTensors {
    /** Leaves them out and logs their number. */
    IGNORE,
    /** Refuses the file. */
    REFUSE
  }

  /** Reads a file, or the one of a directory, ignoring what it has for the text encoder. */
  public static Lora read(Path file, List<LayerSpec> layers) {
    return read(file, layers, TextEncoderTensors.IGNORE);
  }

  /**
   * @param layers of the UNet, see {@link UNet2DCondition#layers}
   * @throws LongAlignException listing every tensor that matches no layer or has a wrong shape
   */
  public static Lora read(Path file, List<LayerSpec> layers, TextEncoderTensors policy) {
    Path path = file(file);
    TensorFile tensors = TensorFiles.open(path);
    return log(new LoraReader(tensors, layers, PeftConfig.of(path, tensors)).read(policy));
  }

  /** A LoRA from tensors that are already at hand; those named 0, 1, 2, ... are a bare list. */
  public static Lora of(TensorFile tensors, List<LayerSpec> layers, TextEncoderTensors policy) {
    return log(new LoraReader(tensors, layers, PeftConfig.none()).read(policy));
  }

  /**
   * The file of a LoRA: the path itself, or in a directory that PEFT or diffusers wrote, the file
   * of their name.
   *
   * @throws LongAlignException if there is none
   */
  public static Path file(Path path) {
    if (Files.isRegularFile(path)) {
      return path;
    } else if (!Files.isDirectory(path)) {
      throw new LongAlignException(path + ": expected a LoRA file, found nothing there");
    }
    return inDirectory(path)
        .orElseThrow(
            () ->
                new LongAlignException(
                    path
                        + ": expected a LoRA file, or a directory with one of "
                        + IN_DIRECTORIES
                        + "; found a directory without them; name the file"));
  }

  /** Whether PEFT or diffusers wrote a LoRA into a directory. */
  public static boolean isDirectory(Path path) {
    return inDirectory(path).isPresent();
  }

  private static Optional<Path> inDirectory(Path path) {
    return IN_DIRECTORIES.stream().map(path::resolve).filter(Files::isRegularFile).findFirst();
  }

  private static Lora log(Lora lora) {
    if (lora.ignoredTextEncoderTensors > 0) {
      LOG.warn(
          "{}: {} tensors for the text encoder are ignored; it stays frozen",
          lora.source,
          lora.ignoredTextEncoderTensors);
    }
    return lora;
  }

  /** The file, as messages show it. */
  public String source() {
    return source;
  }

  /** By the path of the layer, in the order of the file. */
  public Map<String, Entry> entries() {
    return entries;
  }

  public int ignoredTextEncoderTensors() {
    return ignoredTextEncoderTensors;
  }

  /** The parameters of {@code base} with {@code scale} times this LoRA added to its layers. */
  public WeightSource mergedInto(WeightSource base, float scale) {
    return new MergedWeights(base, this, scale);
  }

  /**
   * Writes a file that {@link #read} reads back with the same numbers, if {@code dtype} can hold
   * them. Where the format has no place for a layer's scale, it goes into the factors.
   *
   * @param layers of the UNet, see {@link UNet2DCondition#layers}
   * @param dtype F16, which LoRA files mostly have, BF16 or F32
   * @throws LongAlignException if the file cannot be written, or the format or type cannot hold
   *     this LoRA
   */
  public void write(Path file, LoraFormat format, List<LayerSpec> layers, DType dtype) {
    LoraWriter writer = new LoraWriter(file, this, dtype);
    switch (format) {
      case LONGALIGN -> writer.longAlign(layers);
      case KOHYA -> writer.kohya();
      case PEFT -> writer.peft();
      case DIFFUSERS -> writer.diffusers();
    }
  }

  /** Runs {@code scale} times this LoRA beside its layers. */
  public LayerBranches injected(float scale) {
    return (layer, backend, dtype, owner) -> {
      Entry entry = entries.get(layer.path());
      return entry == null ? null : new LoraBranch(entry, scale, backend, dtype, owner);
    };
  }
}
