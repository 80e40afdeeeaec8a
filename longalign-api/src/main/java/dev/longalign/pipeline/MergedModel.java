package dev.longalign.pipeline;

import dev.longalign.LongAlignException;
import dev.longalign.io.AtomicDirectories;
import dev.longalign.io.Reasons;
import dev.longalign.io.SafetensorsWriter;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFile;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.model.UNet2DConditionConfig;
import dev.longalign.nn.FiniteCheck;
import dev.longalign.nn.LayerSpec;
import dev.longalign.nn.Parameter;
import dev.longalign.nn.WeightSource;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.TensorScope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * A diffusers directory that needs no LoRA any more: the UNet is that of {@link ModelFiles} with
 * all of its LoRAs merged, everything else is copied, the text adapter, T5 and Denscore included.
 * Its scheduler, steps and guidance lie beside ({@link SamplingDefaults}).
 *
 * <pre>{@code
 * try (Backend backend = Device.cpu().open(0)) {
 *   MergedModel.write(files, null, backend, Path.of("long-sd"));      // in the base's types
 * }
 * LongAlign.builder().model(Path.of("long-sd")).build();
 * }</pre>
 */
public final class MergedModel {
  private static final String UNET = "unet";
  private static final String UNET_WEIGHTS = UNET + "/diffusion_pytorch_model.safetensors";

  private final ModelFiles files;

  private MergedModel(ModelFiles files) {
    this.files = files;
  }

  /**
   * Writes the directory beside and renames it, replacing the one that was there.
   *
   * @param dtype of the UNet's weights: F32, F16 or BF16; null: each as in the base
   * @param backend merges, in f32
   * @throws LongAlignException if a file is missing or damaged, a number is too large for {@code
   *     dtype}, or the directory cannot be written
   */
  public static void write(ModelFiles files, DType dtype, Backend backend, Path directory) {
    AtomicDirectories.write(
        directory, bytes(files), beside -> fill(files, files.defaults(), dtype, backend, beside));
  }

  /**
   * Writes into a directory that is there.
   *
   * @param defaults what the merged model is sampled with
   */
  public static void fill(
      ModelFiles files, SamplingDefaults defaults, DType dtype, Backend backend, Path directory)
      throws IOException {
    MergedModel merged = new MergedModel(files);
    for (Map.Entry<String, Path> file : files.files().entrySet()) {
      if (!merged.isUNetWeight(file)) {
        Path target = directory.resolve(file.getKey());
        Files.createDirectories(target.getParent());
        Files.copy(file.getValue(), target);
      }
    }
    merged.writeUNet(dtype, backend, directory.resolve(UNET_WEIGHTS));
    defaults.write(directory);
  }

  /** About how much {@link #write} writes. */
  public static long bytes(ModelFiles files) {
    long bytes = 0;
    try {
      for (Path file : files.files().values()) {
        bytes += Files.size(file);
      }
      return bytes;
    } catch (IOException unreadable) {
      throw new LongAlignException(
          files.model().path() + ": " + Reasons.of(unreadable), unreadable);
    }
  }

  private boolean isUNetWeight(Map.Entry<String, Path> file) {
    return file.getKey().startsWith(UNET + "/") && ModelFileList.isWeights(file.getKey());
  }

  private void writeUNet(DType dtype, Backend backend, Path file) {
    UNet2DConditionConfig config = UNet2DConditionConfig.of(files.model().config(UNET));
    try (TensorFile weights = files.model().weights(UNET)) {
      WeightSource source = files.mergedWeights(weights);
      List<Parameter> parameters = LayerSpec.parameters(UNet2DCondition.layers(config));
      source.check(parameters);
      List<StoredTensor> merged = new ArrayList<>();
      for (Parameter p : parameters) {
        DType type = dtype == null ? usual(weights.tensor(p.name()).dtype()) : dtype;
        merged.add(
            StoredTensor.lazy(
                p.name(),
                type,
                p.shape(),
                "merged",
                () -> convert(p, type, backend, source).data()));
      }
      SafetensorsWriter.write(file, merged);
    }
  }

  /** What diffusers reads; f32 for types that occur in files only. */
  static DType usual(DType dtype) {
    return dtype == DType.F16 || dtype == DType.BF16 ? dtype : DType.F32;
  }

  private static StoredTensor convert(
      Parameter p, DType dtype, Backend backend, WeightSource source) {
    try (TensorScope scope = TensorScope.open()) {
      float[] values = source.load(backend, p).toFloats();
      return FiniteCheck.converted(StoredTensor.ofFloats(p.name(), dtype, p.shape(), values));
    }
  }
}
