package dev.longalign.pipeline;

import dev.longalign.LongAlignException;
import dev.longalign.io.ContentHashes;
import dev.longalign.io.Sha256;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A file or directory that pictures are made with. Its content tells it from others, not its name.
 *
 * @param files what pictures depend on, by name; a file has the name {@code ""}
 */
public record ModelPart(Path path, Map<String, Path> files) {
  private static final List<String> OF_A_MODEL =
      List.of("unet", "vae", "text_encoder", "tokenizer", "scheduler");

  private static final String EMBEDDED = "/dev/longalign/embedded/longsd-mini.index";

  /** The five parts that every Stable Diffusion has; not the T5 or adapter that may lie beside. */
  public static ModelPart model(Path directory) {
    Map<String, Path> files = new LinkedHashMap<>();
    for (String part : OF_A_MODEL) {
      Path below = directory.resolve(part);
      if (!Files.isDirectory(below)) {
        throw new LongAlignException(directory + ": expected a directory " + part + ", found none");
      }
      ModelFileList.usedFiles(part, below).forEach(files::put);
    }
    return new ModelPart(directory, files);
  }

  /** A LoRA's file, or a directory: an adapter, T5. */
  public static ModelPart of(Path part) {
    return new ModelPart(
        part, Files.isDirectory(part) ? ModelFileList.usedFiles("", part) : Map.of("", part));
  }

  /** Whether a directory has the model in the jar: all that pictures depend on. */
  public static boolean isEmbedded(Path directory) {
    Map<String, String> known = new HashMap<>();
    try (InputStream index = ModelPart.class.getResourceAsStream(EMBEDDED)) {
      new String(index.readAllBytes(), StandardCharsets.UTF_8)
          .lines()
          .map(line -> line.split(" ", 3))
          .forEach(fields -> known.put(fields[2], fields[0] + " " + fields[1]));
    } catch (IOException unreadable) {
      throw new LongAlignException("the longalign-api jar is not whole: " + unreadable, unreadable);
    }
    Map<String, Path> files = new HashMap<>(model(directory).files);
    for (String beside : List.of("adapter", "t5")) {
      if (Files.isDirectory(directory.resolve(beside))) {
        files.putAll(ModelFileList.usedFiles(beside, directory.resolve(beside)));
      }
    }
    for (String beside : List.of("lora_vis.pt", SamplingDefaults.FILE)) {
      files.put(beside, directory.resolve(beside));
    }
    known.keySet().removeIf(name -> !files.containsKey(name));
    return known.keySet().equals(files.keySet())
        && known.containsKey("adapter/config.json")
        && files.entrySet().stream()
            .allMatch(file -> matches(file.getValue(), known.get(file.getKey()).split(" ")));
  }

  private static boolean matches(Path file, String[] hashAndSize) {
    try {
      return Files.isRegularFile(file)
          && Files.size(file) == Long.parseLong(hashAndSize[1])
          && Sha256.of(file).equals(hashAndSize[0]);
    } catch (IOException unreadable) {
      throw new LongAlignException(file + " cannot be read: " + unreadable, unreadable);
    }
  }

  /** Changes when a file does. */
  public String stamp() {
    return ContentHashes.stamp(files);
  }

  /** The name, not the path: pictures are published. */
  public String name() {
    Path name = path.toAbsolutePath().normalize().getFileName();
    return name == null ? path.toString() : name.toString();
  }
}
