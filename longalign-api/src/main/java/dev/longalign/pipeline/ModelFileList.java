package dev.longalign.pipeline;

import dev.longalign.LongAlignException;
import dev.longalign.io.ComponentDirectory;
import dev.longalign.io.Config;
import dev.longalign.io.Names;
import dev.longalign.io.Reasons;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileVisitOption;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** Every file that a Long Stable Diffusion consists of, by its place in a complete directory. */
final class ModelFileList {
  private static final String INDEX = "model_index.json";
  private static final List<String> BESIDE = List.of("t5", "adapter", "denscore");
  private static final Pattern PART = Pattern.compile("[A-Za-z0-9][A-Za-z0-9_]*");
  private static final Pattern WEIGHTS =
      Pattern.compile(".*\\.(safetensors|bin|pt|pth|ckpt|h5|msgpack|ot|onnx)(\\.index.*\\.json)?");

  private static final Pattern PAPERS = Pattern.compile("(?i).*\\.md|(.*/)?licen[cs]e.*");

  private ModelFileList() {}

  static Map<String, Path> of(ModelFiles files) {
    Path model = files.model().path();
    Map<String, Path> copies = new LinkedHashMap<>();
    copies.put(INDEX, model.resolve(INDEX));
    Set<String> parts = new LinkedHashSet<>(files.model().index().keys());
    parts.addAll(BESIDE);
    parts.removeIf(part -> !PART.matcher(part).matches());
    for (String part : parts) {
      if (!PART.matcher(part).matches()) {
        continue; // not only a key of the index; and no name with a NUL in it
      }
      Path from =
          switch (part) {
            case "t5" -> files.t5().orElse(null);
            case "adapter" -> files.adapter().orElse(null);
            default -> model.resolve(part);
          };
      if (from != null && Files.isDirectory(from)) {
        copies.putAll(filesOf(part, from));
      }
    }
    return copies;
  }

  /** Those that pictures depend on: not what tells people about them. */
  static Map<String, Path> usedFiles(String part, Path directory) {
    Map<String, Path> used = new LinkedHashMap<>();
    filesOf(part, directory)
        .forEach(
            (name, file) -> {
              if (!PAPERS.matcher(name).matches()) {
                used.put(part.isEmpty() ? name.substring(1) : name, file);
              }
            });
    return used;
  }

  /** All files but weights that the library does not read: other variants, other formats. */
  private static Map<String, Path> filesOf(String part, Path directory) {
    Set<Path> used = usedWeights(directory);
    Map<String, Path> copies = new LinkedHashMap<>();
    try (Stream<Path> all = Files.walk(directory, FileVisitOption.FOLLOW_LINKS)) {
      for (Path file : all.filter(Files::isRegularFile).sorted().toList()) {
        String name = directory.relativize(file).toString().replace('\\', '/');
        if (!name.startsWith(".") && (!isWeights(name) || used.contains(file))) {
          copies.put(part + "/" + name, file);
        }
      }
    } catch (IOException | UncheckedIOException unreadable) {
      throw new LongAlignException(
          directory + " cannot be listed: " + Reasons.of(unreadable), unreadable);
    }
    return copies;
  }

  /** The file with the weights, or the index and the shards that it names. */
  private static Set<Path> usedWeights(Path directory) {
    Path first = ComponentDirectory.open(directory).weightsFile().orElse(null);
    if (first == null) {
      return Set.of(); // a tokenizer, a scheduler
    }
    Set<Path> used = new LinkedHashSet<>(List.of(first));
    if (first.toString().endsWith(".json")) {
      Config map = Config.read(first).getConfig("weight_map");
      for (String tensor : map.keys()) {
        used.add(Names.relativePath(directory, map.getString(tensor), map.source()));
      }
    }
    return used;
  }

  static boolean isWeights(String name) {
    return WEIGHTS.matcher(name.toLowerCase(Locale.ROOT)).matches();
  }
}
