package dev.longalign.training;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.longalign.LongAlignException;
import dev.longalign.data.DataPosition;
import dev.longalign.io.AtomicDirectories;
import dev.longalign.io.AtomicFiles;
import dev.longalign.io.Config;
import dev.longalign.io.Reasons;
import dev.longalign.io.SafetensorsFile;
import dev.longalign.io.SafetensorsWriter;
import dev.longalign.io.Sha256;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFile;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The checkpoints of a run: directories {@code step-00000500} with {@code state.safetensors},
 * {@code state.json} and {@code manifest.json}, which has size and SHA-256 of the others. Each is
 * written beside, forced to disk and renamed, so that one that has its name is whole, whatever ends
 * the process or the power; one that was damaged later is told by its manifest, and the one before
 * it is taken.
 */
final class Checkpoints {
  private static final Logger LOG = LoggerFactory.getLogger(Checkpoints.class);
  private static final String PREFIX = "step-";
  private static final String TENSORS = "state.safetensors";
  private static final String STATE = "state.json";
  private static final String MANIFEST = "manifest.json";
  private static final String FORMAT = "longalign-checkpoint";
  private static final int VERSION = 1;

  private final Path run;
  private final int keepLast;

  /**
   * @param run is created; what a killed process left half written in it is removed
   */
  Checkpoints(Path run, int keepLast) {
    this.run = run;
    this.keepLast = keepLast;
    try {
      Files.createDirectories(run);
      AtomicDirectories.clean(run, PREFIX);
    } catch (IOException e) {
      throw new LongAlignException(
          run + ": cannot be used for checkpoints (" + Reasons.of(e) + ")", e);
    }
  }

  private List<Path> list(String prefix) throws IOException {
    try (Stream<Path> entries = Files.list(run)) {
      return entries
          .filter(p -> p.getFileName().toString().startsWith(prefix))
          .sorted(Comparator.comparing((Path p) -> p.getFileName().toString()).reversed())
          .toList();
    }
  }

  // ---- writing

  /** Writes a checkpoint, then removes those that are too old. */
  Path save(Checkpoint checkpoint) {
    Path target = run.resolve(String.format(Locale.ROOT, "%s%08d", PREFIX, checkpoint.step()));
    long bytes = checkpoint.tensors().stream().mapToLong(StoredTensor::byteSize).sum();
    try {
      AtomicDirectories.write(
          target,
          bytes,
          beside -> {
            SafetensorsWriter.write(beside.resolve(TENSORS), checkpoint.tensors());
            write(beside.resolve(STATE), state(checkpoint));
            write(beside.resolve(MANIFEST), manifest(beside));
          });
      List<Path> all = list(PREFIX);
      for (Path old : all.subList(Math.min(keepLast, all.size()), all.size())) {
        AtomicDirectories.remove(old);
      }
      return target;
    } catch (LongAlignException e) {
      throw new LongAlignException(e.getMessage() + kept(), e);
    } catch (IOException e) {
      throw new LongAlignException(
          run + ": old checkpoints cannot be removed (" + Reasons.of(e) + ")", e);
    }
  }

  private String kept() {
    try {
      List<Path> all = list(PREFIX);
      return all.isEmpty()
          ? ". There is no earlier checkpoint"
          : ". The checkpoints before it are kept; " + all.get(0).getFileName() + " is the newest";
    } catch (IOException unreadable) {
      return "";
    }
  }

  private static void write(Path file, JsonObject json) {
    AtomicFiles.write(file, out -> out.write(json.toString().getBytes(StandardCharsets.UTF_8)));
  }

  private static JsonObject state(Checkpoint checkpoint) {
    JsonObject json = new JsonObject();
    json.addProperty("format", FORMAT);
    json.addProperty("version", VERSION);
    json.addProperty("stage", checkpoint.stage());
    json.addProperty("step", checkpoint.step());
    json.addProperty("random", Base64.getEncoder().encodeToString(checkpoint.random()));
    json.addProperty("dropout", checkpoint.dropout());
    json.addProperty("loss_sum", checkpoint.loss().sum());
    json.addProperty("loss_weight", checkpoint.loss().weight());
    if (checkpoint.position() != null) {
      json.addProperty("position", checkpoint.position().toJson());
    }
    return json;
  }

  private static JsonObject manifest(Path directory) throws IOException {
    JsonObject files = new JsonObject();
    for (String name : List.of(TENSORS, STATE)) {
      JsonObject file = new JsonObject();
      file.addProperty("bytes", Files.size(directory.resolve(name)));
      file.addProperty("sha256", Sha256.of(directory.resolve(name)));
      files.add(name, file);
    }
    JsonObject json = new JsonObject();
    json.add("files", files);
    return json;
  }

  // ---- reading

  /** The newest checkpoint that is whole. */
  Optional<Checkpoint> latest() {
    try {
      for (Path directory : list(PREFIX)) {
        String fault = fault(directory);
        if (fault == null) {
          return Optional.of(read(directory));
        }
        LOG.warn("{} is damaged ({}); the checkpoint before it is taken", directory, fault);
      }
      return Optional.empty();
    } catch (IOException e) {
      throw new LongAlignException(run + ": cannot be read (" + Reasons.of(e) + ")", e);
    }
  }

  /** What does not agree with the manifest; null if all does. */
  private static String fault(Path directory) throws IOException {
    try {
      JsonObject files = Config.read(directory.resolve(MANIFEST)).json().getAsJsonObject("files");
      for (Map.Entry<String, JsonElement> entry : files.entrySet()) {
        String expected = entry.getValue().getAsJsonObject().get("sha256").getAsString();
        Path file = directory.resolve(entry.getKey());
        if (!Files.isRegularFile(file) || !Sha256.of(file).equals(expected)) {
          return entry.getKey() + " is not what was written";
        }
      }
      return files.has(TENSORS) && files.has(STATE) ? null : MANIFEST + " is incomplete";
    } catch (LongAlignException | NullPointerException | IllegalStateException e) {
      return MANIFEST + " cannot be read";
    }
  }

  private static Checkpoint read(Path directory) {
    Config state = Config.read(directory.resolve(STATE));
    if (!FORMAT.equals(state.getString("format")) || state.getInt("version") != VERSION) {
      throw state.refusal("version", FORMAT + " " + VERSION);
    }
    try (TensorFile file = SafetensorsFile.open(directory.resolve(TENSORS))) {
      List<StoredTensor> tensors = new ArrayList<>();
      file.names().forEach(name -> tensors.add(file.tensor(name)));
      return new Checkpoint(
          state.getString("stage"),
          state.getLong("step"),
          Base64.getDecoder().decode(state.getString("random")),
          state.getLong("dropout"),
          state.has("position") ? DataPosition.parse(state.getString("position")) : null,
          new MovingAverage(
              Trainer.LOSS_DECAY,
              state.getDouble("loss_sum", 0),
              state.getDouble("loss_weight", 0)),
          tensors);
    }
  }
}
