package dev.longalign.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Directories where shared libraries lie: {@code LD_LIBRARY_PATH}, what {@code /etc/ld.so.conf}
 * names, the system's own, and where CUDA installs itself whether or not the loader knows.
 */
final class LoaderPaths {
  private static final List<String> SYSTEM =
      List.of(
          "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/usr/lib");
  private static final Path CONFIGURATION = Path.of("/etc/ld.so.conf.d");
  private static final Path LOCAL = Path.of("/usr/local");

  private final List<Path> directories;

  LoaderPaths(List<Path> directories) {
    this.directories = List.copyOf(directories);
  }

  static LoaderPaths ofThisMachine(Map<String, String> environment) {
    List<Path> directories = new ArrayList<>();
    for (String entry : environment.getOrDefault("LD_LIBRARY_PATH", "").split(":")) {
      if (!entry.isBlank()) {
        directories.add(Path.of(entry));
      }
    }
    directories.addAll(configured());
    SYSTEM.forEach(entry -> directories.add(Path.of(entry)));
    directories.addAll(cudaInstallations());
    return new LoaderPaths(directories);
  }

  /** The first directory's file of this name. */
  Optional<Path> find(String soname) {
    return directories.stream().map(d -> d.resolve(soname)).filter(Files::exists).findFirst();
  }

  private static List<Path> configured() {
    List<Path> directories = new ArrayList<>();
    for (Path file : list(CONFIGURATION)) {
      try {
        for (String line : Files.readAllLines(file)) {
          if (line.startsWith("/")) {
            directories.add(Path.of(line.trim()));
          }
        }
      } catch (IOException e) {
        // Not readable: the loader's cache decides, not this list.
      }
    }
    return directories;
  }

  private static List<Path> cudaInstallations() {
    return list(LOCAL).stream()
        .filter(directory -> directory.getFileName().toString().startsWith("cuda"))
        .flatMap(directory -> Stream.of(directory.resolve("lib64"), directory.resolve("compat")))
        .toList();
  }

  private static List<Path> list(Path directory) {
    try (Stream<Path> entries = Files.list(directory)) {
      return entries.sorted().toList();
    } catch (IOException e) {
      return List.of();
    }
  }
}
