package dev.longalign.io;

import com.google.gson.JsonObject;
import dev.longalign.LongAlignException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * SHA-256 of models' files, each computed once: a directory remembers them with what tells without
 * reading whether a file has changed (size, times, inode).
 *
 * <p>One file has the hash of its content. Several, the files of a directory, have that of the
 * lines {@code sha256sum} prints for them, by name: {@code sha256sum a.json b/c.json | sha256sum}.
 *
 * <p>Serves many threads and processes: entries are written beside and renamed. Where the directory
 * cannot be written, hashes are computed each time.
 */
public final class ContentHashes {
  private static final Logger LOG = LoggerFactory.getLogger(ContentHashes.class);
  private static final String SUFFIX = ".json";
  private static final int MAX_ENTRIES = 512;

  /** A file that changed so shortly ago may change again without its times telling. */
  private static final long UNSETTLED_MILLIS = 100;

  private final Path directory;

  /**
   * @param directory remembers; need not exist
   */
  public ContentHashes(Path directory) {
    this.directory = directory;
  }

  /** Those that a cache of this library remembers. */
  public static ContentHashes in(Path cache) {
    return new ContentHashes(cache.resolve("hashes"));
  }

  /**
   * What tells whether files have changed, without reading them.
   *
   * @param files by name
   * @throws LongAlignException if one is not there
   */
  public static String stamp(Map<String, Path> files) {
    Sha256 stamp = new Sha256();
    new TreeMap<>(files)
        .forEach(
            (name, file) -> {
              BasicFileAttributes now = attributes(file);
              stamp.update(
                  List.of(name, now.size(), now.lastModifiedTime(), changed(file), inode(now))
                      + "\n");
            });
    return stamp.hex();
  }

  /**
   * The hash of a part's files.
   *
   * @param part a file or a directory
   * @param files of the directory, by name; of a file, itself
   * @throws LongAlignException if one cannot be read, or they change meanwhile
   */
  public String of(Path part, Map<String, Path> files) {
    String stamp = stamp(files);
    Path entry = entry(part);
    Optional<String> known = read(entry).filter(e -> stamp.equals(e.stamp)).map(e -> e.sha256);
    if (known.isPresent()) {
      return known.get();
    }
    String sha256 = computed(files);
    if (!stamp.equals(stamp(files))) {
      throw new LongAlignException(part + ": changed while it was read");
    }
    if (settled(files)) {
      remember(entry, new Entry(part.toAbsolutePath().normalize(), stamp, sha256));
    }
    return sha256;
  }

  /** Where content of this hash was seen, newest first; it may have changed or gone since. */
  public List<Path> seen(String sha256) {
    return entries().stream()
        .flatMap(entry -> read(entry).stream())
        .filter(entry -> entry.sha256.equals(sha256))
        .map(Entry::part)
        .filter(Files::exists)
        .toList();
  }

  private record Entry(Path part, String stamp, String sha256) {}

  private static String computed(Map<String, Path> files) {
    if (files.size() == 1 && files.containsKey("")) {
      return Sha256.of(files.get(""));
    }
    Sha256 all = new Sha256();
    new TreeMap<>(files).forEach((name, file) -> all.update(Sha256.of(file) + "  " + name + "\n"));
    return all.hex();
  }

  private Path entry(Path part) {
    String path = part.toAbsolutePath().normalize().toString();
    return directory.resolve(new Sha256().update(path).hex().substring(0, 32) + SUFFIX);
  }

  private static Optional<Entry> read(Path file) {
    try {
      if (!Files.isRegularFile(file)) {
        return Optional.empty();
      }
      Config json = Config.read(file);
      return Optional.of(
          new Entry(
              Path.of(json.getString("path")), json.getString("stamp"), json.getString("sha256")));
    } catch (LongAlignException | IllegalArgumentException damaged) {
      return Optional.empty(); // computed again, and written anew
    }
  }

  private void remember(Path file, Entry entry) {
    JsonObject json = new JsonObject();
    json.addProperty("path", entry.part.toString());
    json.addProperty("stamp", entry.stamp);
    json.addProperty("sha256", entry.sha256);
    try {
      Files.createDirectories(directory);
      AtomicFiles.write(file, out -> out.write(json.toString().getBytes(StandardCharsets.UTF_8)));
      List<Path> all = entries();
      for (Path old : all.subList(Math.min(MAX_ENTRIES, all.size()), all.size())) {
        Files.deleteIfExists(old);
      }
    } catch (IOException | LongAlignException unwritable) {
      LOG.debug("{} remembers no hashes: {}", directory, unwritable.toString());
    }
  }

  /** Newest first. */
  private List<Path> entries() {
    try (Stream<Path> all = Files.list(directory)) {
      record Dated(Path file, FileTime time) {}
      List<Dated> dated = new ArrayList<>();
      for (Path file : all.filter(file -> file.toString().endsWith(SUFFIX)).toList()) {
        dated.add(new Dated(file, Files.getLastModifiedTime(file)));
      }
      return dated.stream()
          .sorted(Comparator.comparing(Dated::time).reversed())
          .map(Dated::file)
          .toList();
    } catch (IOException | UncheckedIOException none) {
      return List.of();
    }
  }

  private static boolean settled(Map<String, Path> files) {
    Instant limit = Instant.now().minusMillis(UNSETTLED_MILLIS);
    return files.values().stream()
        .allMatch(file -> attributes(file).lastModifiedTime().toInstant().isBefore(limit));
  }

  private static BasicFileAttributes attributes(Path file) {
    try {
      return Files.readAttributes(file, BasicFileAttributes.class);
    } catch (IOException unreadable) {
      throw new LongAlignException(file + " cannot be read: " + unreadable, unreadable);
    }
  }

  /** A copy that keeps the time of modification changes this one, where there is such a time. */
  private static Object changed(Path file) {
    try {
      return Files.getAttribute(file, "unix:ctime");
    } catch (IOException | UnsupportedOperationException | IllegalArgumentException none) {
      return "";
    }
  }

  private static Object inode(BasicFileAttributes attributes) {
    return attributes.fileKey() == null ? "" : attributes.fileKey();
  }
}
