package dev.longalign.training.export;

import dev.longalign.LongAlignException;
import dev.longalign.io.AtomicDirectories;
import dev.longalign.io.ComponentDirectory;
import dev.longalign.io.Reasons;
import dev.longalign.model.Lora;
import dev.longalign.model.LoraFormat;
import dev.longalign.model.TrainableTextAdapter;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.model.UNet2DConditionConfig;
import dev.longalign.nn.LayerSpec;
import dev.longalign.pipeline.MergedModel;
import dev.longalign.pipeline.ModelFiles;
import dev.longalign.pipeline.SamplingDefaults;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.training.TrainedModel;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Writes a trained LoRA, in one or several formats, into a directory with a model card: {@code
 * README.md} for people and {@value CardJson#FILE} for programs, with the hashes of all files that
 * went in and came out. A text adapter that was trained with it is in {@code adapter/}.
 *
 * <pre>{@code
 * ExportSettings settings = ExportSettings.DEFAULT.withFormats(EnumSet.allOf(ExportFormat.class));
 * Exports.write(model, files, settings, card, run.resolve("export"));
 * }</pre>
 *
 * The directory is written beside and renamed: a failed export leaves the one before it. Only an
 * earlier export is replaced; a directory with anything else in it is refused.
 */
public final class Exports {
  private final ModelFiles base;
  private final ExportSettings settings;
  private final ModelCard card;
  private final Lora lora;
  private final List<LayerSpec> layers;
  private final TrainableTextAdapter trainedAdapter;
  private final Optional<Path> givenAdapter;
  private final Backend backend;
  private final Path origin;
  private final SamplingDefaults sampled;

  private Exports(
      ModelFiles base,
      ExportSettings settings,
      ModelCard card,
      Lora lora,
      TrainableTextAdapter trainedAdapter,
      Optional<Path> givenAdapter,
      Backend backend,
      Path origin) {
    this.base = Objects.requireNonNull(base, "base");
    this.settings = Objects.requireNonNull(settings, "settings");
    this.card = Objects.requireNonNull(card, "card");
    this.lora = lora;
    this.layers = layers(base);
    this.trainedAdapter = trainedAdapter;
    this.givenAdapter = givenAdapter;
    this.backend = backend;
    this.origin = origin;
    this.sampled = card.sampling().orElseGet(() -> CardJson.sampling(origin, base));
  }

  /** The UNet's, for {@link Lora#read}. */
  public static List<LayerSpec> layers(ModelFiles base) {
    return UNet2DCondition.layers(UNet2DConditionConfig.of(base.model().config("unet")));
  }

  /**
   * Exports what has been trained.
   *
   * @param base that it was trained on, with the LoRAs that were merged into it
   * @return the files, with the place in {@code directory}
   * @throws LongAlignException if a file cannot be written, or {@code directory} has other things
   *     in it than an earlier export
   */
  public static List<ExportedFile> write(
      TrainedModel model,
      ModelFiles base,
      ExportSettings settings,
      ModelCard card,
      Path directory) {
    return new Exports(
            base,
            settings,
            card,
            model.lora().snapshot(),
            model.adapter(),
            Optional.empty(),
            model.autograd(),
            null)
        .write(directory);
  }

  /**
   * Exports a LoRA file in other formats. If it lies in an export, the new card quotes the old one.
   *
   * @param file of any format that {@link Lora#read} knows
   * @param adapter a text adapter that belongs to it, which is copied; null: none
   * @param base the model that it is for; its LoRAs are merged before
   * @param backend merges; may be null if nothing is merged
   */
  public static List<ExportedFile> convert(
      Path file,
      Path adapter,
      ModelFiles base,
      ExportSettings settings,
      ModelCard card,
      Backend backend,
      Path directory) {
    return new Exports(
            base,
            settings,
            card,
            Lora.read(file, layers(base)),
            null,
            Optional.ofNullable(adapter),
            backend,
            file)
        .write(directory);
  }

  /**
   * Says early whether {@link #write} will be allowed to replace a directory.
   *
   * @throws LongAlignException if it is a file, or has something in it that is not of an export
   */
  public static void check(Path directory) {
    if (!Files.exists(directory)) {
      return;
    }
    if (!Files.isDirectory(directory)) {
      throw new LongAlignException(
          directory + ": expected an earlier export or nothing, found a file");
    }
    Set<String> known =
        CardJson.files(directory).stream().map(ExportedFile::file).collect(Collectors.toSet());
    known.addAll(CardJson.OWN_FILES);
    try (Stream<Path> all = Files.walk(directory)) {
      all.filter(path -> !Files.isDirectory(path))
          .map(path -> directory.relativize(path).toString().replace('\\', '/'))
          .filter(name -> !known.contains(name))
          .findFirst()
          .ifPresent(
              name -> {
                throw new LongAlignException(
                    directory
                        + ": expected an earlier export, which will be replaced, or nothing; found"
                        + " in it "
                        + name
                        + ", which is of no export; move it away or name another directory");
              });
    } catch (IOException | UncheckedIOException unreadable) {
      throw new LongAlignException(
          directory + " cannot be listed: " + Reasons.of(unreadable), unreadable);
    }
  }

  /**
   * The command that samples with an export, to be pasted into a shell; paths are as they are given
   * here.
   *
   * @param base that the export was made with
   * @throws LongAlignException if there is no export
   */
  public static String command(Path export, ModelFiles base) {
    return CardJson.command(export, base, export)
        .orElseThrow(() -> new LongAlignException(export + ": expected an export, found none"))
        .text();
  }

  private List<ExportedFile> write(Path directory) {
    check(directory);
    boolean merged = settings.formats().contains(ExportFormat.MERGED);
    if (merged && backend == null) {
      throw new LongAlignException("export: merging computes: expected a backend, found none");
    }
    CardJson json = new CardJson(base, settings, card, sampled, lora, origin);
    long bytes = (merged ? MergedModel.bytes(base) : 0) + loraBytes();
    List<ExportedFile> written = new ArrayList<>();
    AtomicDirectories.write(
        directory,
        bytes,
        beside -> {
          writeLora(beside);
          if (merged) {
            writeMerged(beside, json, directory);
          }
          written.addAll(json.write(beside, directory));
        });
    return written;
  }

  private long loraBytes() {
    long numbers =
        lora.entries().values().stream()
            .mapToLong(entry -> entry.up().shape().size() + entry.down().shape().size())
            .sum();
    return numbers
        * settings.formats().stream()
            .filter(format -> format.lora().isPresent())
            .mapToLong(f -> f == ExportFormat.LONGALIGN ? 2 : settings.precision().bytes())
            .sum();
  }

  private void writeLora(Path directory) throws IOException {
    if (settings.onlyMerged()) {
      return;
    }
    for (ExportFormat format : settings.formats()) {
      if (format.lora().isPresent()) {
        DType dtype = format == ExportFormat.LONGALIGN ? DType.F16 : settings.precision();
        Path file = directory.resolve(format.file(settings.name()));
        lora.write(file, format.lora().get(), layers, dtype);
      }
    }
    writeAdapter(directory.resolve(TrainedModel.ADAPTER_DIRECTORY));
  }

  private void writeAdapter(Path directory) throws IOException {
    if (trainedAdapter != null) {
      trainedAdapter.write(directory);
    } else if (givenAdapter.isPresent()) {
      ComponentDirectory from = ComponentDirectory.open(givenAdapter.get());
      Files.createDirectories(directory);
      for (String name : from.fileNames()) {
        Files.copy(from.file(name), directory.resolve(name));
      }
    }
  }

  /** The same numbers as base, {@code <name>.pt} and adapter: half precision before merging. */
  private void writeMerged(Path directory, CardJson json, Path place) throws IOException {
    Path own = settings.onlyMerged() ? directory : directory.resolve(ExportFormat.MERGED.file(""));
    Files.createDirectories(own);
    Path work = Files.createDirectory(directory.resolve(".merging"));
    Path factors = work.resolve("lora");
    Path adapter = work.resolve(TrainedModel.ADAPTER_DIRECTORY);
    if (origin == null) {
      lora.write(factors, LoraFormat.LONGALIGN, layers, DType.F16);
    }
    writeAdapter(adapter);
    List<ModelFiles.LoraFile> loras = new ArrayList<>(base.loras());
    loras.add(new ModelFiles.LoraFile(origin == null ? factors : origin, 1));
    ModelFiles all =
        new ModelFiles(
            base.model(),
            Files.isDirectory(adapter) ? Optional.of(adapter) : base.adapter(),
            base.t5(),
            loras);
    MergedModel.fill(all, sampled, settings.mergedPrecision(), backend, own);
    AtomicDirectories.remove(work);
    if (!own.equals(directory)) {
      json.write(own, place.resolve(ExportFormat.MERGED.file("")));
    }
  }
}
