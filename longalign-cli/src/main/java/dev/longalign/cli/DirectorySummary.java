package dev.longalign.cli;

import dev.longalign.LongAlignException;
import dev.longalign.data.FeatureCache;
import dev.longalign.data.ImageFolderDataset;
import dev.longalign.io.Config;
import dev.longalign.training.JsonLinesEvents;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Stream;

/**
 * What a directory is that holds no model: of a training, or of what one reads.
 *
 * @param what in words
 * @param facts for a person, by name
 */
record DirectorySummary(String what, Path path, Map<String, Object> facts) {
  private static final String CHECKPOINT_STATE = "state.json";
  private static final String MANIFEST = "manifest.json";
  private static final String CARD = "model-card.json";
  private static final int MAX_LISTED = 8;

  /**
   * @throws LongAlignException if it is nothing that is known, saying what is in it
   */
  static DirectorySummary of(Path path) throws IOException {
    List<String> names = names(path);
    List<String> checkpoints = names.stream().filter(name -> name.matches("step-\\d+")).toList();
    if (names.contains(CHECKPOINT_STATE) && names.contains("state.safetensors")) {
      return checkpoint(path);
    } else if (names.contains(JsonLinesEvents.FILE) || !checkpoints.isEmpty()) {
      return run(path, names, checkpoints);
    } else if (names.contains(MANIFEST) && isFormat(path.resolve(MANIFEST), "longalign-features")) {
      return cache(path);
    } else if (names.contains(CARD)) {
      return export(path, names);
    }
    return data(path, names);
  }

  private static DirectorySummary checkpoint(Path path) {
    Config state = Config.read(path.resolve(CHECKPOINT_STATE));
    Map<String, Object> facts = new LinkedHashMap<>();
    facts.put("stage", state.getString("stage", "?"));
    facts.put("step", state.getLong("step", -1));
    return new DirectorySummary("a checkpoint of a training", path, facts);
  }

  private static DirectorySummary run(Path path, List<String> names, List<String> checkpoints) {
    Map<String, Object> facts = new LinkedHashMap<>();
    facts.put("checkpoints", checkpoints.isEmpty() ? "none" : String.join(", ", last(checkpoints)));
    if (!checkpoints.isEmpty()) {
      facts.putAll(checkpoint(path.resolve(checkpoints.get(checkpoints.size() - 1))).facts());
    }
    facts.put("export", names.contains("export") ? path.resolve("export").toString() : "none yet");
    return new DirectorySummary("a training run", path, facts);
  }

  private static List<String> last(List<String> checkpoints) {
    return checkpoints.subList(Math.max(0, checkpoints.size() - MAX_LISTED), checkpoints.size());
  }

  private static DirectorySummary cache(Path path) {
    Map<String, Object> facts = new LinkedHashMap<>();
    boolean complete = FeatureCache.isComplete(path);
    facts.put("complete", complete);
    if (complete) {
      try (FeatureCache cache = FeatureCache.open(path, FeatureCache.key(path))) {
        facts.put("examples", cache.size().orElse(0));
        facts.put("skipped", cache.report().skipped());
      }
    }
    facts.putAll(FeatureCache.key(path).parts());
    return new DirectorySummary("a feature cache, to train from (data: PATH)", path, facts);
  }

  private static DirectorySummary export(Path path, List<String> names) {
    Config card = Config.read(path.resolve(CARD));
    Map<String, Object> facts = new LinkedHashMap<>();
    facts.put("format", card.getString("format", "?"));
    facts.put("files", String.join(", ", names.subList(0, Math.min(names.size(), MAX_LISTED))));
    return new DirectorySummary("an export of a training, see its README.md", path, facts);
  }

  private static DirectorySummary data(Path path, List<String> names) {
    Map<String, Object> facts = new LinkedHashMap<>();
    for (String extension : List.of(".tar", ".parquet")) {
      long count =
          names.stream().filter(n -> n.toLowerCase(Locale.ROOT).endsWith(extension)).count();
      if (count > 0) {
        facts.put(extension + " files", count);
      }
    }
    try (ImageFolderDataset pictures = ImageFolderDataset.open(path)) {
      facts.put("pictures", pictures.size().orElse(0));
    } catch (LongAlignException none) {
      if (facts.isEmpty()) {
        throw new LongAlignException(
            path
                + ": expected a model, a part of one, a LoRA, a training run, a checkpoint, a feature"
                + " cache or training data; found "
                + names.subList(0, Math.min(names.size(), MAX_LISTED))
                + (names.size() > MAX_LISTED
                    ? " and " + (names.size() - MAX_LISTED) + " more"
                    : ""));
      }
    }
    return new DirectorySummary("training data", path, facts);
  }

  private static boolean isFormat(Path json, String format) {
    try {
      return Config.read(json).getString("format", "").equals(format);
    } catch (LongAlignException unreadable) {
      return false;
    }
  }

  private static List<String> names(Path path) throws IOException {
    try (Stream<Path> entries = Files.list(path)) {
      return entries
          .map(entry -> entry.getFileName().toString())
          .filter(name -> !name.startsWith("."))
          .sorted()
          .toList();
    }
  }

  void print(PrintWriter out) {
    out.println(path + ": " + what);
    facts.forEach((name, value) -> out.println("  " + name + ": " + value));
  }
}
