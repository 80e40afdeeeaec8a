package dev.longalign.io;

import dev.longalign.LongAlignException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Comparator;
import java.util.List;
import java.util.UUID;
import java.util.stream.Stream;

/**
 * Writes a directory beside its target, forces its files to disk and renames it: a failure, of the
 * disk or of the caller, leaves the old directory and nothing else. What a killed process left
 * half-written is hidden, {@code .name.<UUID>}, and removed by the next {@link #write} or {@link
 * #clean}; an old directory that a killed process had moved out of the way, {@code
 * .name.<UUID>.old}, comes back then. One writer of a target at a time: another is refused.
 */
public final class AtomicDirectories {
  private static final String UUID_PATTERN = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}";
  private static final int UUID_LENGTH = 36;

  /** Of an old directory that the new one is about to replace. */
  private static final String OLD = ".old";

  private AtomicDirectories() {}

  /** Fills a directory. */
  @FunctionalInterface
  public interface Content {
    void writeTo(Path directory) throws IOException;
  }

  /**
   * Writes {@code target}, replacing the directory that was there with all that is in it.
   *
   * @param needed about how many bytes will be written, for messages; 0 if that is not known
   * @throws LongAlignException if it cannot be written, or is being written by another process;
   *     what the content itself throws comes through, except that an {@link IOException}, and a
   *     file that cannot be written because of one, are told as a failure of {@code target}
   */
  public static void write(Path target, long needed, Content content) {
    Path place = target.toAbsolutePath().normalize();
    if (place.getFileName() == null) {
      throw new LongAlignException(target + " cannot be replaced; name a directory in it");
    }
    if (Files.exists(place, LinkOption.NOFOLLOW_LINKS)
        && !Files.isDirectory(place, LinkOption.NOFOLLOW_LINKS)) {
      throw new LongAlignException(
          target
              + " is "
              + (Files.isSymbolicLink(place) ? "a link" : "a file")
              + ", expected a directory or nothing; choose another place");
    }
    Path beside = hidden(place);
    Throwable full = null;
    try {
      Files.createDirectories(place.getParent());
      try (LockFile lock =
          LockFile.acquire(place.resolveSibling("." + place.getFileName() + ".lock"), target)) {
        if (lock.exclusive()) {
          clean(place.getParent(), place.getFileName() + ".");
        }
        Files.createDirectory(beside);
        content.writeTo(beside);
        force(beside);
        replace(beside, place);
        AtomicFiles.forceDirectory(place.getParent());
      }
    } catch (IOException failure) {
      full = failure;
    } catch (LongAlignException failure) {
      if (!(failure.getCause() instanceof IOException)) {
        throw failure;
      }
      full = failure;
    } finally {
      discard(beside);
    }
    if (full != null) { // said now: what was half-written takes no space any more
      throw WriteFailure.of(target, needed, full);
    }
  }

  /** The old directory comes back if the new one cannot take its place. */
  private static void replace(Path beside, Path place) throws IOException {
    if (!Files.exists(place)) {
      Files.move(beside, place, StandardCopyOption.ATOMIC_MOVE);
      return;
    }
    Path away = place.resolveSibling(hidden(place).getFileName() + OLD);
    Files.move(place, away, StandardCopyOption.ATOMIC_MOVE);
    try {
      Files.move(beside, place, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException failure) {
      Files.move(away, place, StandardCopyOption.ATOMIC_MOVE);
      throw failure;
    }
    discard(away);
  }

  /** Removes a directory: hidden first, since what is half deleted must not pass for whole. */
  public static void remove(Path directory) throws IOException {
    Path place = directory.toAbsolutePath().normalize();
    if (Files.exists(place)) {
      Path away = hidden(place);
      Files.move(place, away, StandardCopyOption.ATOMIC_MOVE);
      delete(away);
    }
  }

  /**
   * Removes what killed processes left half-written, and puts back what they had moved away. Only
   * for who knows that nobody is writing such a directory now.
   *
   * @param prefix with which the names of the directories begin that were being written in {@code
   *     parent}
   */
  public static void clean(Path parent, String prefix) throws IOException {
    List<Path> left;
    try (Stream<Path> entries = Files.list(parent)) {
      left =
          entries
              .filter(
                  entry -> {
                    String name = entry.getFileName().toString();
                    return name.startsWith("." + prefix)
                        && name.matches(".*\\." + UUID_PATTERN + "(\\.old)?");
                  })
              .toList();
    }
    for (Path directory : left) {
      String name = directory.getFileName().toString();
      int end = name.length() - (UUID_LENGTH + OLD.length() + 1);
      Path place = name.endsWith(OLD) ? parent.resolve(name.substring(1, end)) : null;
      if (place != null && !Files.exists(place, LinkOption.NOFOLLOW_LINKS)) {
        Files.move(directory, place, StandardCopyOption.ATOMIC_MOVE);
      } else {
        delete(directory);
      }
    }
  }

  private static Path hidden(Path directory) {
    return directory.resolveSibling("." + directory.getFileName() + "." + UUID.randomUUID());
  }

  private static void discard(Path directory) {
    try {
      delete(directory);
    } catch (IOException | UncheckedIOException stays) {
      // Hidden, and removed by the next write; the first failure is the one to tell.
    }
  }

  private static void delete(Path directory) throws IOException {
    if (!Files.exists(directory, LinkOption.NOFOLLOW_LINKS)) {
      return;
    }
    try (Stream<Path> all = Files.walk(directory)) {
      for (Path path : all.sorted(Comparator.reverseOrder()).toList()) {
        Files.deleteIfExists(path);
      }
    }
  }

  private static void force(Path directory) throws IOException {
    try (Stream<Path> all = Files.walk(directory)) {
      for (Path file : all.filter(Files::isRegularFile).toList()) {
        try (RandomAccessFile open = new RandomAccessFile(file.toFile(), "rw")) {
          open.getFD().sync();
        }
      }
    }
  }
}
