package dev.longalign.training.export;

import dev.longalign.LongAlignException;
import dev.longalign.io.Reasons;
import dev.longalign.io.Sha256;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * A file, told from others by its content.
 *
 * @param file its place, with slashes
 * @param sha256 of its content
 */
public record ExportedFile(String file, long bytes, String sha256) {

  static ExportedFile of(String name, Path file) {
    try {
      return new ExportedFile(name, Files.size(file), Sha256.of(file));
    } catch (IOException unreadable) {
      throw new LongAlignException(file + " cannot be read: " + Reasons.of(unreadable), unreadable);
    }
  }

  static List<ExportedFile> of(Map<String, Path> files) {
    List<ExportedFile> all = new ArrayList<>();
    files.forEach((name, file) -> all.add(of(name, file)));
    return all;
  }

  /** All files in a directory and below it, by name. */
  static List<ExportedFile> below(Path directory) throws IOException {
    try (Stream<Path> all = Files.walk(directory)) {
      return all.filter(Files::isRegularFile)
          .map(file -> of(directory.relativize(file).toString().replace('\\', '/'), file))
          .sorted((a, b) -> a.file().compareTo(b.file()))
          .toList();
    }
  }
}
