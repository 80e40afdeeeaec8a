package dev.longalign.training.export;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.DType;
import dev.longalign.training.TrainedModel;
import java.util.EnumSet;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;

/**
 * What is written, and how.
 *
 * @param name of the LoRA's files, without extension
 * @param precision of safetensors files with a LoRA: F16, BF16 or F32; the bare list is always in
 *     F16, as the reference has it
 * @param mergedPrecision of the UNet of {@link ExportFormat#MERGED}; null: as the base has it
 */
public record ExportSettings(
    Set<ExportFormat> formats, String name, DType precision, DType mergedPrecision) {
  private static final List<DType> TYPES = List.of(DType.F16, DType.BF16, DType.F32);

  /** The reference's files. */
  public static final ExportSettings DEFAULT =
      new ExportSettings(
          EnumSet.of(ExportFormat.LONGALIGN),
          TrainedModel.LORA_FILE.replace(".pt", ""),
          DType.F16,
          null);

  public ExportSettings {
    formats = Set.copyOf(formats);
    Objects.requireNonNull(name, "name");
    if (formats.isEmpty()) {
      throw new LongAlignException("export: expected at least one format, found none");
    }
    if (!name.matches("[A-Za-z0-9][A-Za-z0-9._-]*")) {
      throw new LongAlignException(
          "export: expected a name of letters, digits, '.', '_' and '-', found '" + name + "'");
    }
    if (!TYPES.contains(precision) || mergedPrecision != null && !TYPES.contains(mergedPrecision)) {
      throw new LongAlignException(
          "export: expected the precision f16, bf16 or f32, found "
              + precision
              + (mergedPrecision == null ? "" : " and " + mergedPrecision));
    }
  }

  public ExportSettings withFormats(Set<ExportFormat> others) {
    return new ExportSettings(others, name, precision, mergedPrecision);
  }

  public ExportSettings withName(String other) {
    return new ExportSettings(formats, other, precision, mergedPrecision);
  }

  public ExportSettings withPrecision(DType lora, DType merged) {
    return new ExportSettings(formats, name, lora, merged);
  }

  /** The LoRA file of an export that this library samples with; empty if there is none. */
  Optional<String> samplingFile() {
    return Stream.of(
            ExportFormat.LONGALIGN, ExportFormat.KOHYA, ExportFormat.DIFFUSERS, ExportFormat.PEFT)
        .filter(formats::contains)
        .map(format -> format.file(name))
        .findFirst();
  }

  /** Whether the directory of the export is a model itself. */
  boolean onlyMerged() {
    return formats.equals(Set.of(ExportFormat.MERGED));
  }
}
