package dev.longalign.training;

import com.google.gson.JsonObject;
import dev.longalign.LongAlignException;
import dev.longalign.data.DataPosition;
import dev.longalign.io.AtomicDirectories;
import dev.longalign.io.AtomicFiles;
import dev.longalign.io.Config;
import dev.longalign.io.LockFile;
import dev.longalign.io.Reasons;
import dev.longalign.io.SafetensorsFile;
import dev.longalign.io.SafetensorsWriter;
import dev.longalign.io.Sha256;
import dev.longalign.io.Sizes;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFile;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Comparator;
import java.util.LinkedHashMap;
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
  private static final String SETTINGS = "settings";

  private final Path run;
  private final int keepLast;

  /**
   * @param run is created; what a killed process left half written in it is removed, if it is ours
   *     alone
   */
  Checkpoints(Path run, int keepLast, boolean exclusive) {
    this.run = run;
    this.keepLast = keepLast;
    try {
      Files.createDirectories(run);
      if (exclusive) {
        AtomicDirectories.clean(run, PREFIX);
      }
    } catch (IOException e) {
      throw cannotBeUsed(run, e);
    }
  }

  /**
   * Makes a run's directory its caller's.
   *
   * @throws LongAlignException if another run, of whichever process, has it
   */
  static LockFile lock(Path run) {
    try {
      Files.createDirectories(run);
    } catch (IOException e) {
      throw cannotBeUsed(run, e);
    }
    return LockFile.acquire(run.resolve(LockFile.NAME), run);
  }

  private static LongAlignException cannotBeUsed(Path run, IOException e) {
    String why = Files.exists(run) && !Files.isDirectory(run) ? "it is a file" : e.toString();
    return new LongAlignException(
        run + " cannot be the directory of a run: " + why + "; choose another output", e);
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
    if (!checkpoint.settings().isEmpty()) {
      JsonObject settings = new JsonObject();
      checkpoint.settings().forEach(settings::addProperty);
      json.add(SETTINGS, settings);
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
    Config files;
    try {
      files = Config.read(directory.resolve(MANIFEST)).getConfig("files");
    } catch (LongAlignException e) {
      return MANIFEST + " cannot be read";
    }
    for (String name : List.of(TENSORS, STATE)) {
      Path file = directory.resolve(name);
      try {
        String expected = files.getConfig(name).getString("sha256");
        if (!Files.isRegularFile(file) || !Sha256.of(file).equals(expected)) {
          return name + " is not what was written";
        }
      } catch (LongAlignException e) {
        return MANIFEST + " is incomplete";
      }
    }
    return null;
  }

  private static Checkpoint read(Path directory) {
    Config state = Config.read(directory.resolve(STATE));
    if (!FORMAT.equals(state.getString("format")) || state.getInt("version") != VERSION) {
      throw state.refusal("version", FORMAT + " " + VERSION);
    }
    Map<String, String> settings = new LinkedHashMap<>();
    if (state.has(SETTINGS)) {
      Config saved = state.getConfig(SETTINGS);
      saved.keys().forEach(key -> settings.put(key, saved.getString(key)));
    }
    try (TensorFile file = SafetensorsFile.open(directory.resolve(TENSORS))) {
      List<StoredTensor> tensors = new ArrayList<>();
      file.names().forEach(name -> tensors.add(file.tensor(name)));
      return new Checkpoint(
          state.getString("stage"),
          Sizes.atLeast(state, "step", 0),
          bytes(state, "random"),
          state.getLong("dropout"),
          state.has("position") ? DataPosition.parse(state.getString("position")) : null,
          new MovingAverage(
              Trainer.LOSS_DECAY,
              state.getDouble("loss_sum", 0),
              state.getDouble("loss_weight", 0)),
          settings,
          tensors);
    }
  }

  private static byte[] bytes(Config state, String key) {
    try {
      return Base64.getDecoder().decode(state.getString(key));
    } catch (IllegalArgumentException noBase64) {
      throw state.refusal(key, "Base64");
    }
  }
}
