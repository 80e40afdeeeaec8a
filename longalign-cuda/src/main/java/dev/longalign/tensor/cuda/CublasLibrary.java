package dev.longalign.tensor.cuda;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Finds CUDA's cuBLAS and loads it, so that JCublas finds it loaded: JCublas 12.6 is linked against
 * {@code libcublas.so.12}, which need not lie where the loader looks. Where only CUDA 13's is
 * installed, a small library of ours takes that name and forwards to it.
 */
final class CublasLibrary {
  private static final String NEEDED = "libcublas.so.12";
  private static final String NEWER = "libcublas.so.13";
  private static final String FORWARD = "libcublas-forward.so";
  private static final List<String> SYSTEM =
      List.of("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64");

  private CublasLibrary() {}

  /** The library that was loaded, for messages. */
  record Found(Path file, boolean forwarded) {}

  /**
   * Loads the library.
   *
   * @throws UnsatisfiedLinkError if there is none, or it does not load; the message says what is
   *     missing
   */
  static Found load() {
    List<Path> folders = folders();
    Optional<Path> exact = find(folders, NEEDED);
    if (exact.isPresent()) {
      loadWithParts(exact.get());
      return new Found(exact.get(), false);
    }
    Path newer =
        find(folders, NEWER)
            .orElseThrow(
                () ->
                    new UnsatisfiedLinkError(
                        NEEDED + " is not there, nor " + NEWER + " (looked in " + folders + ")"));
    loadWithParts(newer);
    System.load(forward().toString());
    return new Found(newer, true);
  }

  /** What it is made of lies beside it, where the loader need not look either. */
  private static void loadWithParts(Path library) {
    String name = library.getFileName().toString();
    Path part = library.resolveSibling(name.replace("libcublas.", "libcublasLt."));
    if (Files.exists(part)) {
      System.load(part.toString());
    }
    System.load(library.toString());
  }

  private static Optional<Path> find(List<Path> folders, String name) {
    return folders.stream()
        .map(folder -> folder.resolve(name).toAbsolutePath())
        .filter(Files::exists)
        .findFirst();
  }

  /** Where shared libraries lie, and where CUDA installs itself. */
  private static List<Path> folders() {
    List<Path> folders = new ArrayList<>();
    String path = System.getenv("LD_LIBRARY_PATH");
    for (String folder : path == null ? new String[0] : path.split(":")) {
      if (!folder.isBlank()) {
        folders.add(Path.of(folder));
      }
    }
    SYSTEM.forEach(folder -> folders.add(Path.of(folder)));
    try (Stream<Path> entries = Files.list(Path.of("/usr/local"))) {
      entries
          .filter(folder -> folder.getFileName().toString().startsWith("cuda"))
          .sorted()
          .forEach(folder -> folders.add(folder.resolve("lib64")));
    } catch (IOException e) {
      // No such folder, then none of CUDA's in it.
    }
    return folders;
  }

  /** Our library, as a file; the loader keeps it open, so the file may go when the process ends. */
  private static Path forward() {
    try (InputStream library = CublasLibrary.class.getResourceAsStream(FORWARD)) {
      if (library == null) {
        throw new UnsatisfiedLinkError(
            NEEDED
                + " is not there; this build cannot use "
                + NEWER
                + ": it was made without a C compiler");
      }
      Path folder = Files.createTempDirectory("longalign-cublas");
      Path file = folder.resolve(NEEDED);
      folder.toFile().deleteOnExit();
      file.toFile().deleteOnExit();
      Files.copy(library, file);
      return file;
    } catch (IOException e) {
      throw new UnsatisfiedLinkError(FORWARD + " cannot be unpacked: " + e);
    }
  }
}
