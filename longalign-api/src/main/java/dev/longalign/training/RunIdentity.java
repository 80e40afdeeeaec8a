package dev.longalign.training;

import dev.longalign.LongAlignException;
import dev.longalign.io.ComponentDirectory;
import dev.longalign.io.Sha256;
import dev.longalign.pipeline.ModelFiles;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What decides the numbers of a run, by key: settings in words, files as the beginning of a hash.
 * It is part of every checkpoint, so that who continues with something else learns of it. Not in
 * it: where files lie, how often a run saves, looks and exports, how many steps it makes, how it
 * saves memory, and the device.
 */
final class RunIdentity {
  private static final Logger LOG = LoggerFactory.getLogger(RunIdentity.class);
  private static final int SHOWN = 12;

  private RunIdentity() {}

  /**
   * @param side of the pictures in pixels
   */
  static Map<String, String> of(RunConfig config, ModelFiles files, int side) {
    Map<String, String> all = new LinkedHashMap<>(config.summary());
    if (config.newAdapter() > 0) {
      all.put("adapterWidth", Integer.toString(config.newAdapter()));
    }
    all.put("resolution", Integer.toString(side));
    all.put("data", data(config.data()));
    components(all, files);
    if (config.reward() != null) {
      RewardSettings reward = config.reward();
      all.put("whole", Boolean.toString(reward.whole()));
      all.put("scorer", hash(RewardModel.scorer(reward, files.model().path())));
      if (reward.directionFile() != null) {
        all.put("commonDirection", hash(reward.directionFile()));
      }
    }
    return all;
  }

  /**
   * @param model whose config, tokenizer and, where it continues from one, weights are used
   */
  static Map<String, String> of(DenscoreRunConfig config, ComponentDirectory model) {
    TrainerSettings settings = config.settings();
    Map<String, String> all = new LinkedHashMap<>();
    all.put("batchSize", Integer.toString(config.batchSize()));
    all.put("accumulation", Integer.toString(settings.accumulation()));
    all.put("learningRate", Double.toString(settings.learningRate().peak()));
    all.put("warmupSteps", Integer.toString(settings.learningRate().warmupSteps()));
    all.put("maxGradientNorm", Double.toString(settings.maxGradientNorm()));
    all.put("weightDecay", Double.toString(settings.weightDecay()));
    all.put("seed", Long.toString(settings.seed()));
    all.put("omega", Double.toString(config.omega()));
    all.put("segmentWeight", Double.toString(config.segmentWeight()));
    new TreeMap<>(config.sizes()).forEach((key, size) -> all.put(key, Integer.toString(size)));
    all.put("data", data(config.data()));
    all.put(config.init() == null ? "tokenizer" : "init", hash(model.path()));
    return all;
  }

  /**
   * Whether a checkpoint's place in the data can be kept.
   *
   * @param allowChanges of what is trained, with what, from what
   * @throws LongAlignException if there are some and they are not allowed; they are listed
   */
  static boolean sameData(
      Checkpoint checkpoint, Map<String, String> now, Path run, boolean allowChanges) {
    Map<String, String> before = checkpoint.settings();
    if (before.isEmpty() || now.isEmpty()) {
      return true; // not known; a place in another order is refused later
    }
    Set<String> changed = new TreeSet<>(before.keySet());
    changed.addAll(now.keySet());
    changed.removeIf(key -> value(before, key).equals(value(now, key)));
    if (!changed.isEmpty()) {
      List<String> told = new ArrayList<>();
      changed.forEach(
          key -> told.add(key + " was " + value(before, key) + ", is " + value(now, key)));
      String what =
          run
              + ": what is trained has changed since step "
              + checkpoint.step()
              + ": "
              + String.join("; ", told);
      if (!allowChanges) {
        throw new LongAlignException(
            what + ". Train as it was, or into another directory, or allow it (--allow-changes)");
      }
      LOG.warn("{}", what);
    }
    return !changed.contains("data") && !changed.contains("seed");
  }

  private static String value(Map<String, String> all, String key) {
    return all.getOrDefault(key, "absent");
  }

  /** Not the place, which may change, but all that decides the examples. */
  private static String data(TrainingData data) {
    TrainingData.Options options = data.options();
    String files = data.kind() == TrainingData.Kind.PANELS ? "" : DataFiles.describe(data);
    return switch (data.kind()) {
      case PANELS -> data.description();
      case CACHE -> "features (" + files + ")";
      case PARQUET ->
          "parquet (%s), columns %s and %s"
              .formatted(files, options.columns().caption(), options.columns().picture());
      case FOLDER, WEBDATASET -> "pictures (" + files + "), key " + options.captionKey();
    };
  }

  private static void components(Map<String, String> all, ModelFiles files) {
    Map<String, Sha256> parts = new TreeMap<>();
    new TreeMap<>(files.files())
        .forEach(
            (name, file) -> {
              String part = name.substring(0, Math.max(0, name.indexOf('/')));
              if (!part.isEmpty() && !part.equals("denscore")) { // that is told as scorer
                parts
                    .computeIfAbsent(part, p -> new Sha256())
                    .update(name + " " + Sha256.sketch(file) + "\n");
              }
            });
    parts.forEach((part, sha256) -> all.put(part + "/", sha256.hex().substring(0, SHOWN)));
    List<String> loras = new ArrayList<>();
    files.loras().forEach(lora -> loras.add(hash(lora.file()) + " x " + lora.scale()));
    all.put("lora", loras.isEmpty() ? "none" : String.join(", ", loras));
  }

  /** Of a file, or of all in a directory. */
  private static String hash(Path path) {
    if (!Files.exists(path)) {
      return "absent"; // who opens it says so
    }
    Sha256 sha256 = new Sha256();
    try (Stream<Path> all = Files.walk(path)) {
      for (Path file : all.filter(Files::isRegularFile).sorted().toList()) {
        sha256.update(path.relativize(file) + " " + Sha256.sketch(file) + "\n");
      }
    } catch (IOException | UncheckedIOException unreadable) {
      return "unreadable";
    }
    return sha256.hex().substring(0, SHOWN);
  }
}
