package dev.longalign.host;

import dev.longalign.LongAlignException;
import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The one folder that this library writes to by itself: native libraries, the embedded model,
 * compiled kernels. It is {@code -Dlongalign.cache}, else {@code $XDG_CACHE_HOME/longalign}, else
 * {@code longalign} in {@code ~/.cache}; absolute, and since code is loaded from it, nobody but its
 * owner may write to it: what is made there is closed to all others (0700). Where none of these can
 * be had, a private folder in the temporary directory serves until the process ends, which the log
 * says once.
 *
 * <p>Who owns a folder is known on Linux only; elsewhere it is taken as it is.
 */
public final class CacheFolder {
  private static final Logger LOG = LoggerFactory.getLogger(CacheFolder.class);
  private static final Set<PosixFilePermission> PRIVATE =
      PosixFilePermissions.fromString("rwx------");
  private static final Path SELF = Path.of("/proc/self");
  private static final int STICKY = 01000;
  private static final int GROUP_MAY_WRITE = 020;
  private static final int OTHERS_MAY_WRITE = 02;
  private static final String TEMPORARY = "longalign-cache-";
  private static final String NAME = "longalign";
  private static final String LOCK = "lock";

  /** All that a process unpacks lies in one place, found once. */
  private static final AtomicReference<Path> ROOT = new AtomicReference<>();

  /** Between making a temporary folder and locking it. */
  private static final Duration UNLOCKED_AT_MOST = Duration.ofMinutes(1);

  private CacheFolder() {}

  /**
   * The folder, which exists.
   *
   * @throws LongAlignException if there is neither a cache nor a temporary directory that can be
   *     written to
   */
  public static Path root() {
    synchronized (ROOT) {
      if (ROOT.get() == null) {
        String named = System.getProperty("longalign.cache");
        ROOT.set(find(candidates(named, System.getenv()), temporaryDirectory()));
      }
      return ROOT.get();
    }
  }

  /** Whether the folder goes when this process ends. */
  public static boolean isTemporary() {
    return root().getFileName().toString().startsWith(TEMPORARY);
  }

  /** What is to be done in the folder. */
  @FunctionalInterface
  public interface Use<T> {
    T in(Path root) throws IOException;
  }

  /**
   * Does something in the folder; in a temporary one if it fails there, because the folder is full
   * or may only be read and lacks something.
   *
   * @throws IOException if it fails there, too
   */
  public static <T> T use(Use<T> use) throws IOException {
    Path root = root();
    try {
      return use.in(root);
    } catch (IOException e) {
      synchronized (ROOT) {
        if (ROOT.get().equals(root)) {
          ROOT.set(temporary(temporaryDirectory(), e.toString()));
        }
      }
      return use.in(root());
    }
  }

  /** Where the folder may be, the best first. What the user names himself has no alternative. */
  static List<String> candidates(String property, Map<String, String> environment) {
    if (property != null && !property.isBlank()) {
      return List.of(property);
    }
    String xdg = environment.get("XDG_CACHE_HOME");
    if (isAbsolute(xdg)) {
      return List.of(new File(xdg, NAME).toString());
    }
    // The JVM calls the home of a user who is not in the system's list "?".
    return Stream.of(environment.get("HOME"), System.getProperty("user.home"))
        .filter(CacheFolder::isAbsolute)
        .distinct()
        .map(home -> new File(new File(home, ".cache"), NAME).toString())
        .toList();
  }

  private static boolean isAbsolute(String path) {
    return path != null && new File(path).isAbsolute();
  }

  /** The first candidate that can be trusted with code, else a temporary folder. */
  static Path find(List<String> candidates, Path temporaryDirectory) {
    List<String> refused = new ArrayList<>();
    for (String candidate : candidates) {
      try {
        Path folder = Path.of(candidate).toAbsolutePath();
        Files.createDirectories(folder, privately(folder));
        Path real = folder.toRealPath();
        requireClosed(real);
        return real;
      } catch (IOException | InvalidPathException e) {
        refused.add(candidate + ": " + e);
      }
    }
    String why = refused.isEmpty() ? "this user has no home" : String.join("; ", refused);
    return temporary(temporaryDirectory, why);
  }

  static FileAttribute<?>[] privately(Path folder) {
    return folder.getFileSystem().supportedFileAttributeViews().contains("posix")
        ? new FileAttribute<?>[] {PosixFilePermissions.asFileAttribute(PRIVATE)}
        : new FileAttribute<?>[0];
  }

  /**
   * @throws IOException if somebody else may write to the folder, or exchange it or one above it;
   *     the superuser may always
   */
  private static void requireClosed(Path folder) throws IOException {
    if (!Files.isDirectory(SELF)) {
      return;
    }
    int me = (int) Files.getAttribute(SELF, "unix:uid");
    int superuser = (int) Files.getAttribute(folder.getRoot(), "unix:uid");
    for (Path path = folder; path != null; path = path.getParent()) {
      Map<String, Object> facts = Files.readAttributes(path, "unix:uid,gid,mode");
      int owner = (int) facts.get("uid");
      int group = (int) facts.get("gid");
      int mode = (int) facts.get("mode");
      boolean own = owner == me || owner == superuser;
      // A user's private group has his number.
      boolean open =
          (mode & OTHERS_MAY_WRITE) != 0
              || (mode & GROUP_MAY_WRITE) != 0 && group != owner && group != superuser;
      boolean sticky = (mode & STICKY) != 0 && !path.equals(folder);
      if (!own || open && !sticky) {
        throw new IOException(
            path
                + (own
                    ? " can be written to by others"
                    : " belongs to the user with number " + owner)
                + ", and native libraries would be loaded from there");
      }
    }
  }

  private static Path temporaryDirectory() {
    return Path.of(System.getProperty("java.io.tmpdir")).toAbsolutePath();
  }

  private static Path temporary(Path parent, String why) {
    try {
      deleteLeftovers(parent);
      Path folder = Files.createTempDirectory(parent, TEMPORARY).toRealPath();
      requireClosed(folder);
      // Held until the process ends, however it does.
      FileLock lock =
          FileChannel.open(
                  folder.resolve(LOCK), StandardOpenOption.CREATE, StandardOpenOption.WRITE)
              .tryLock();
      Runtime.getRuntime().addShutdownHook(new Thread(() -> delete(folder, lock)));
      LOG.warn(
          "no cache folder ({}): natives and the embedded model, 170 MB, are unpacked to {} and go"
              + " when the process ends. Set -Dlongalign.cache to a folder that only you can write"
              + " to.",
          why,
          folder);
      return folder;
    } catch (IOException e) {
      throw new LongAlignException(
          "expected a folder for native libraries that only this user can write to, found none: "
              + why
              + ", and in the temporary directory: "
              + e
              + "; set -Dlongalign.cache to one",
          e);
    }
  }

  /** What processes left that were killed: nobody holds their locks any more. */
  private static void deleteLeftovers(Path parent) throws IOException {
    Instant old = Instant.now().minus(UNLOCKED_AT_MOST);
    try (Stream<Path> folders = Files.list(parent)) {
      for (Path folder :
          folders.filter(f -> f.getFileName().toString().startsWith(TEMPORARY)).toList()) {
        Path file = folder.resolve(LOCK);
        try {
          if (!Files.isDirectory(folder, LinkOption.NOFOLLOW_LINKS)
              || !Files.getOwner(folder).equals(Files.getOwner(SELF))
              || Files.getLastModifiedTime(folder).toInstant().isAfter(old)) {
            continue;
          }
          try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
            FileLock lock = channel.tryLock();
            if (lock != null) {
              delete(folder, lock);
            }
          }
        } catch (IOException | IllegalStateException e) {
          LOG.debug("{} stays", folder, e); // somebody else's, or this process's own
        }
      }
    }
  }

  private static void delete(Path folder, FileLock held) {
    try (Stream<Path> files = Files.walk(folder)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.deleteIfExists(file);
      }
    } catch (IOException | RuntimeException e) {
      LOG.debug("{} was not deleted ({})", folder, held, e);
    }
  }

  /**
   * Writes a file beside its place and renames it: threads and processes need no lock. Not through
   * a channel, which an interrupt would close.
   *
   * @param file in the folder; what it lies in is made where it is missing
   */
  public static void write(Path file, InputStream content) throws IOException {
    Files.createDirectories(file.getParent(), privately(file));
    Path part = Files.createTempFile(file.getParent(), ".part-", null);
    try {
      try (OutputStream out = new FileOutputStream(part.toFile())) {
        content.transferTo(out);
      }
      Files.move(part, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(part);
    }
  }
}
