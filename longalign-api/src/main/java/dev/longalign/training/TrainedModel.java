package dev.longalign.training;

import dev.longalign.LongAlignException;
import dev.longalign.autograd.AutogradBackend;
import dev.longalign.io.Reasons;
import dev.longalign.model.TextAdapterConfig;
import dev.longalign.model.TrainableLora;
import dev.longalign.model.TrainableParameter;
import dev.longalign.model.TrainableTextAdapter;
import dev.longalign.nn.RandomDropout;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/**
 * What training changes: a LoRA, and in stage 1 the text adapter beside it.
 *
 * @param adapter null if it is frozen
 * @param adapterConfig of the adapter; null if it is frozen
 * @param dropout that the two use; null for none
 */
public record TrainedModel(
    AutogradBackend autograd,
    TrainableLora lora,
    TrainableTextAdapter adapter,
    TextAdapterConfig adapterConfig,
    RandomDropout dropout)
    implements Trainable {
  /** The LoRA's name in an export, where the engine and the reference look for it. */
  public static final String LORA_FILE = "lora_vis.pt";

  /** The adapter's directory in an export. */
  public static final String ADAPTER_DIRECTORY = "adapter";

  public TrainedModel {
    Objects.requireNonNull(autograd, "autograd");
    Objects.requireNonNull(lora, "lora");
    if (adapter != null) {
      Objects.requireNonNull(adapterConfig, "adapterConfig");
    }
    if (dropout != null) {
      autograd.replay(dropout);
    }
  }

  /** A LoRA alone. */
  public static TrainedModel of(
      AutogradBackend autograd, TrainableLora lora, RandomDropout dropout) {
    return new TrainedModel(autograd, lora, null, null, dropout);
  }

  /** In the reference's order, named {@code lora.<name>} and {@code adapter.<name>}. */
  @Override
  public List<TrainableParameter> parameters() {
    List<TrainableParameter> all = new ArrayList<>();
    lora.parameters().forEach(p -> all.add(named("lora.", p)));
    if (adapter != null) {
      adapter.parameters().forEach(p -> all.add(named("adapter.", p)));
    }
    return all;
  }

  private static TrainableParameter named(String prefix, TrainableParameter p) {
    return new TrainableParameter(prefix + p.name(), p.value(), p.shape());
  }

  /** {@link #export(Path, String)} with the LoRA in {@value #LORA_FILE}. */
  public void export(Path directory) {
    export(directory, LORA_FILE);
  }

  /**
   * Writes what sampling needs, file by file: the LoRA, the bare list of the reference in half
   * precision, and, if it is trained, {@value #ADAPTER_DIRECTORY}, a diffusers directory in f32.
   * {@link dev.longalign.training.export.Exports} writes other formats, and a model card.
   *
   * @throws LongAlignException if it cannot be written
   */
  public void export(Path directory, String loraFile) {
    try {
      Files.createDirectories(directory);
    } catch (IOException e) {
      throw new LongAlignException(directory + ": cannot be created (" + Reasons.of(e) + ")", e);
    }
    lora.write(directory.resolve(loraFile));
    if (adapter != null) {
      adapter.write(directory.resolve(ADAPTER_DIRECTORY));
    }
  }
}
