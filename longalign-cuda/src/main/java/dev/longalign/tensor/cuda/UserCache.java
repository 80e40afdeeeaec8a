package dev.longalign.tensor.cuda;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/**
 * Files that are kept for the next start, in the user's cache directory. A file is written beside
 * its place and renamed, so concurrent processes need no lock.
 */
final class UserCache {
  private UserCache() {}

  /** A folder of this library's, which exists. */
  static Path folder(String name) throws IOException {
    String xdg = System.getenv("XDG_CACHE_HOME");
    Path base =
        xdg == null || xdg.isEmpty()
            ? Path.of(System.getProperty("user.home"), ".cache")
            : Path.of(xdg);
    return Files.createDirectories(base.resolve("longalign").resolve(name));
  }

  static void store(Path file, byte[] bytes) throws IOException {
    Path beside = Files.createTempFile(file.getParent(), "longalign", ".tmp");
    try {
      Files.write(beside, bytes);
      Files.move(beside, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(beside);
    }
  }
}
