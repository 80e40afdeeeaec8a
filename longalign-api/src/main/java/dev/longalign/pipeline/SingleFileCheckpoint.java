package dev.longalign.pipeline;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import dev.longalign.LongAlignException;
import dev.longalign.io.AtomicDirectories;
import dev.longalign.io.Config;
import dev.longalign.io.ModelDirectory;
import dev.longalign.io.Names;
import dev.longalign.io.Reasons;
import dev.longalign.io.SafetensorsWriter;
import dev.longalign.io.StateDict;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFiles;
import dev.longalign.model.AutoencoderKL;
import dev.longalign.model.AutoencoderKLConfig;
import dev.longalign.model.ClipTextConfig;
import dev.longalign.model.OriginalUNetNames;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.model.UNet2DConditionConfig;
import dev.longalign.model.WeightsKind;
import dev.longalign.nn.FiniteCheck;
import dev.longalign.nn.LayerSpec;
import dev.longalign.nn.Parameter;
import dev.longalign.scheduler.PredictionType;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * A Stable Diffusion 1.x whose UNet, autoencoder and text encoder lie in one file, {@code
 * .safetensors} or {@code .ckpt}, under the names of its first training code: as it was first
 * published, and as most fine-tuned models are. It is converted once into a diffusers directory,
 * which is what everything else reads.
 *
 * <pre>{@code
 * SingleFileCheckpoint.convert(Path.of("v1-5-pruned-emaonly.safetensors"), null, null, null, directory);
 * LongAlign.builder().model(directory).build();
 * }</pre>
 */
public final class SingleFileCheckpoint {
  private static final String UNET = "unet";
  private static final String VAE = "vae";
  private static final String TEXT_ENCODER = "text_encoder";
  private static final String INDEX = "model_index.json";

  private static final String SCHEDULER = "scheduler/scheduler_config.json";

  /** Tensors that only say something of the others. */
  private static final Set<String> MARKERS = Set.of("v_pred", "ztsnr");

  /** Of Stable Diffusion 1.5, in the resources of this package. */
  private static final String BUILT_IN = "stable-diffusion-v1/";

  private static final List<String> BUILT_IN_FILES =
      List.of(
          INDEX,
          "unet/config.json",
          "vae/config.json",
          "text_encoder/config.json",
          SCHEDULER,
          "tokenizer/merges.txt",
          "tokenizer/special_tokens_map.json",
          "tokenizer/tokenizer_config.json");

  /** How the names of its parts begin. */
  private static final Pattern PARTS =
      Pattern.compile(
          "(model\\.diffusion_model|first_stage_model|cond_stage_model|model_ema)\\..*");

  /**
   * What was written.
   *
   * @param tensors how many
   * @param notes what the file says of its noise schedule, and what of it is not honoured
   * @param unused how many tensors of the file have no place in a diffusers directory, by the
   *     beginning of their names: a moving average ({@code model_ema}), constants of the schedule
   */
  public record Conversion(
      Path directory, int tensors, List<String> notes, SortedMap<String, Integer> unused) {
    public Conversion {
      notes = List.copyOf(notes);
    }
  }

  private final StateDict file;
  private final CheckpointSchedule schedule;
  private final ModelDirectory like;
  private final DType dtype;
  private final Set<String> used = new HashSet<>(MARKERS);

  private SingleFileCheckpoint(
      StateDict file, CheckpointSchedule schedule, ModelDirectory like, DType dtype) {
    this.file = file;
    this.schedule = schedule;
    this.like = like;
    this.dtype = dtype;
  }

  /**
   * Writes the model as a diffusers directory.
   *
   * @param like a diffusers directory of the same kind of model, whose configs, scheduler and
   *     tokenizer are taken; null: those of Stable Diffusion 1.5
   * @param dtype of the weights: F32, F16 or BF16; null: as they are
   * @param prediction what the network predicts; null: what the file says, else as {@code like}
   * @param directory is made; must not exist or be empty
   * @throws LongAlignException if the file is no such checkpoint or damaged, a tensor is missing or
   *     has another shape than the configs ask for, a number is too large for {@code dtype}, or the
   *     directory cannot be written; nothing is left then
   */
  public static Conversion convert(
      Path file, Path like, DType dtype, PredictionType prediction, Path directory) {
    refuseFull(directory);
    ModelDirectory configs = like == null ? null : ModelDirectory.open(like);
    try (StateDict tensors =
        StateDict.unwrap(TensorFiles.open(file), name -> PARTS.matcher(name).matches())) {
      SingleFileCheckpoint checkpoint =
          new SingleFileCheckpoint(
              tensors, CheckpointSchedule.of(file, tensors, prediction), configs, dtype);
      checkpoint.refuseOtherKinds();
      Map<String, List<StoredTensor>> parts = checkpoint.parts();
      List<StoredTensor> all = parts.values().stream().flatMap(List::stream).toList();
      AtomicDirectories.write(
          directory,
          all.stream().mapToLong(StoredTensor::byteSize).sum(),
          beside -> {
            checkpoint.writeConfigs(beside);
            for (Map.Entry<String, List<StoredTensor>> part : parts.entrySet()) {
              SafetensorsWriter.write(beside.resolve(part.getKey()), part.getValue());
            }
          });
      return new Conversion(
          directory, all.size(), checkpoint.schedule.notes(), checkpoint.unused());
    }
  }

  private static void refuseFull(Path directory) {
    if (!Files.isDirectory(directory)) {
      return; // what cannot be a directory is told when it is written
    }
    try (Stream<Path> entries = Files.list(directory)) {
      if (entries.findAny().isPresent()) {
        throw new LongAlignException(
            directory + ": expected a new or empty directory, found one with files in it");
      }
    } catch (IOException unreadable) {
      throw new LongAlignException(
          directory + " cannot be read: " + Reasons.of(unreadable), unreadable);
    }
  }

  private void refuseOtherKinds() {
    WeightsKind kind = WeightsKind.of(file);
    if (!kind.refusal().isEmpty()) {
      throw new LongAlignException(file.source() + " is " + kind.refusal());
    }
    if (!file.names().contains("model.diffusion_model.input_blocks.0.0.weight")) {
      throw new LongAlignException(
          file.source()
              + " is no whole checkpoint but "
              + kind.label()
              + ": expected tensors such as model.diffusion_model.input_blocks.0.0.weight, found "
              + Names.some(file.names())
              + "; longalign inspect tells what it is");
    }
  }

  /** The tensors of each file of weights. */
  private Map<String, List<StoredTensor>> parts() {
    UNet2DConditionConfig unet = UNet2DConditionConfig.of(config(UNET));
    AutoencoderKLConfig vae = AutoencoderKLConfig.of(config(VAE));
    int levels = vae.blockOutChannels().size();
    Map<String, List<StoredTensor>> parts = new LinkedHashMap<>();
    List<LayerSpec> layers = UNet2DCondition.layers(unet);
    OriginalUNetNames names = OriginalUNetNames.of(layers);
    parts.put(
        "unet/diffusion_pytorch_model.safetensors",
        collect(
            UNET, LayerSpec.parameters(layers), name -> List.of(OriginalNames.unet(name, names))));
    parts.put(
        "vae/diffusion_pytorch_model.safetensors",
        collect(
            VAE,
            LayerSpec.parameters(AutoencoderKL.layers(vae)),
            name -> List.of(OriginalNames.vae(name, levels))));
    parts.put(
        "text_encoder/model.safetensors",
        collect(
            TEXT_ENCODER,
            ClipTextConfig.of(config(TEXT_ENCODER)).parameters(),
            name -> List.of(OriginalNames.text(name), OriginalNames.flatText(name))));
    return parts;
  }

  /**
   * @param original the names that a parameter may have in the file
   */
  private List<StoredTensor> collect(
      String part, List<Parameter> parameters, Function<String, List<String>> original) {
    List<StoredTensor> tensors = new ArrayList<>();
    List<String> missing = new ArrayList<>();
    for (Parameter p : parameters) {
      List<String> names = original.apply(p.name());
      names.stream()
          .filter(file::contains)
          .findFirst()
          .ifPresentOrElse(
              name -> tensors.add(fitted(part, file.tensor(name), p)),
              () -> missing.add(names.get(0)));
    }
    if (!missing.isEmpty()) {
      throw new LongAlignException(
          file.source()
              + ": expected "
              + parameters.size()
              + " tensors of the "
              + part
              + ", found "
              + tensors.size()
              + "; missing, first: "
              + missing.get(0)
              + " (an incomplete checkpoint, or of another size: then name a diffusers directory"
              + " that has its configs, --like)");
    }
    return tensors;
  }

  /** Under its name in diffusers; the autoencoder's attention was 1 x 1 convolutions. */
  private StoredTensor fitted(String part, StoredTensor found, Parameter p) {
    used.add(found.name());
    Shape shape = found.shape();
    boolean pointwise =
        shape.rank() == 4 && p.shape().rank() == 2 && shape.dim(2) == 1 && shape.dim(3) == 1;
    boolean fits =
        pointwise
            ? p.shape().equals(Shape.of(shape.dim(0), shape.dim(1)))
            : p.shape().equals(shape);
    if (!fits) {
      throw new LongAlignException(
          found.name()
              + " in "
              + file.source()
              + ": expected "
              + p.shape()
              + " by the config of the "
              + part
              + ", found "
              + shape
              + "; for another kind of model name a diffusers directory that has its configs, --like");
    }
    DType type = dtype == null ? MergedModel.usual(found.dtype()) : dtype;
    StoredTensor tensor = found.reshaped(p.shape()).named(p.name());
    return type == found.dtype()
        ? tensor
        : StoredTensor.lazy(
            p.name(),
            type,
            p.shape(),
            file.source(),
            () ->
                FiniteCheck.converted(
                        StoredTensor.ofFloats(p.name(), type, p.shape(), tensor.toFloats()))
                    .data());
  }

  private SortedMap<String, Integer> unused() {
    SortedMap<String, Integer> unused = new TreeMap<>(file.beside());
    for (String name : file.names()) {
      if (!used.contains(name) && !name.endsWith(".position_ids")) { // 0, 1, 2, ...
        unused.merge(name.replaceFirst("\\..*", ""), 1, Integer::sum);
      }
    }
    return unused;
  }

  private Config config(String part) {
    return like == null ? builtInConfig(part) : like.config(part);
  }

  static Config builtInConfig(String part) {
    return Config.parse("Stable Diffusion 1.5's " + part, builtIn(part + "/config.json"));
  }

  /** Everything but weights. */
  private void writeConfigs(Path directory) throws IOException {
    if (like == null) {
      for (String name : BUILT_IN_FILES) {
        write(directory.resolve(name), builtIn(name));
      }
      writeScheduler(directory, Config.parse("scheduler", builtIn(SCHEDULER)));
      write(
          directory.resolve("tokenizer/vocab.json"),
          ClipMerges.vocabulary(builtIn("tokenizer/merges.txt")).toString());
      return;
    }
    Set<String> parts = Set.of(UNET, VAE, TEXT_ENCODER, "scheduler", "tokenizer");
    ModelFiles files = new ModelFiles(like, Optional.empty(), Optional.empty(), List.of());
    for (Map.Entry<String, Path> entry : files.files().entrySet()) {
      String name = entry.getKey();
      if (parts.contains(name.replaceFirst("/.*", "")) && !ModelFileList.isWeights(name)) {
        Files.createDirectories(directory.resolve(name).getParent());
        Files.copy(entry.getValue(), directory.resolve(name));
      }
    }
    writeScheduler(directory, Config.read(like.path().resolve(SCHEDULER)));
    write(directory.resolve(INDEX), indexOf(parts).toString());
  }

  /** Over the one that was copied, where the checkpoint says something else. */
  private void writeScheduler(Path directory, Config config) throws IOException {
    JsonObject applied = schedule.applied(config.json());
    if (!applied.equals(config.json())) {
      write(directory.resolve(SCHEDULER), applied.toString());
    }
  }

  /** {@code model_index.json}, in which parts that are not written are absent. */
  private JsonObject indexOf(Set<String> parts) {
    JsonArray absent = new JsonArray();
    absent.add(JsonNull.INSTANCE);
    absent.add(JsonNull.INSTANCE);
    JsonObject index = like.index().json().deepCopy();
    for (Map.Entry<String, JsonElement> entry : index.entrySet()) {
      if (entry.getValue().isJsonArray() && !parts.contains(entry.getKey())) {
        entry.setValue(absent);
      }
    }
    return index;
  }

  private static void write(Path path, String text) throws IOException {
    Files.createDirectories(path.getParent());
    Files.writeString(path, text, StandardCharsets.UTF_8);
  }

  private static String builtIn(String name) {
    try (InputStream in = SingleFileCheckpoint.class.getResourceAsStream(BUILT_IN + name)) {
      if (in == null) {
        throw new LongAlignException("the jar is damaged: it lacks " + BUILT_IN + name);
      }
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new LongAlignException("the jar cannot be read: " + Reasons.of(e), e);
    }
  }
}
