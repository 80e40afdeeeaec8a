package dev.longalign.training;

import dev.longalign.LongAlignException;
import dev.longalign.data.ImageFolderDataset;
import dev.longalign.io.Reasons;
import dev.longalign.io.Sha256;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileVisitOption;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;

/** The files of training data: what they are, and a hash that tells one collection from another. */
final class DataFiles {
  /** Of a hash: 64 bits tell any two collections apart that a person will ever have. */
  private static final int SHOWN = 16;

  private DataFiles() {}

  /**
   * Tar shards directly in it, else Parquet files or pictures at any depth.
   *
   * @throws LongAlignException if there is none of them
   */
  static TrainingData.Kind kindOfDirectory(Path directory) {
    try (Stream<Path> entries = Files.list(directory)) {
      if (entries.anyMatch(file -> extension(file).equals("tar"))) {
        return TrainingData.Kind.WEBDATASET;
      }
    } catch (IOException unreadable) {
      throw refusal(directory, unreadable);
    }
    List<Path> files = below(directory);
    if (files.stream().anyMatch(file -> extension(file).equals("parquet"))) {
      return TrainingData.Kind.PARQUET;
    } else if (files.stream().anyMatch(ImageFolderDataset::isPicture)) {
      return TrainingData.Kind.FOLDER;
    }
    throw new LongAlignException(
        "data: "
            + directory
            + ": expected .tar shards in it, or .parquet files or pictures (.jpg, .jpeg, .png,"
            + " .webp) in it or below it, found none among "
            + files.size()
            + " files");
  }

  private static String extension(Path file) {
    String name = file.getFileName().toString();
    return name.startsWith(".")
        ? ""
        : name.substring(name.lastIndexOf('.') + 1).toLowerCase(Locale.ROOT);
  }

  private static List<Path> below(Path directory) {
    try (Stream<Path> files = Files.walk(directory, FileVisitOption.FOLLOW_LINKS)) {
      return files
          .filter(Files::isRegularFile)
          .filter(file -> !directory.relativize(file).toString().matches("(.*[/\\\\])?\\..*"))
          .sorted(Comparator.comparing(file -> name(directory, file)))
          .toList();
    } catch (IOException | UncheckedIOException unreadable) {
      throw refusal(directory, unreadable);
    }
  }

  private static LongAlignException refusal(Path directory, Exception unreadable) {
    return new LongAlignException(
        "data: " + directory + " cannot be listed: " + Reasons.of(unreadable), unreadable);
  }

  /** The same on every system. */
  private static String name(Path directory, Path file) {
    return directory.relativize(file).toString().replace('\\', '/');
  }

  /** The last part of a path. */
  static String name(String location) {
    return location.substring(location.lastIndexOf('/') + 1);
  }

  /** How many files, and a hash over their names and sizes. */
  static String describe(TrainingData data) {
    Path path = Path.of(data.location());
    List<Path> files =
        switch (data.kind()) {
          case WEBDATASET -> ShardPattern.files(data.location());
          case PARQUET -> Files.isDirectory(path) ? parquets(path) : List.of(path);
          default -> below(path);
        };
    Sha256 sha256 = new Sha256();
    try {
      for (Path file : files) {
        String name = Files.isDirectory(path) ? name(path, file) : file.getFileName().toString();
        sha256.update(name + "\n" + Files.size(file) + "\n");
      }
    } catch (IOException unreadable) {
      throw refusal(path, unreadable);
    }
    String hash = sha256.hex().substring(0, SHOWN);
    return files.size() + (files.size() == 1 ? " file, " : " files, ") + hash;
  }

  private static List<Path> parquets(Path directory) {
    return below(directory).stream().filter(file -> extension(file).equals("parquet")).toList();
  }
}
