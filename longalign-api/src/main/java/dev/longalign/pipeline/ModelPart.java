package dev.longalign.pipeline;

import dev.longalign.LongAlignException;
import dev.longalign.io.ContentHashes;
import java.nio.file.Files;
import java.nio.file.Path;
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
