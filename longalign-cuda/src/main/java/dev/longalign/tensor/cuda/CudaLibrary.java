package dev.longalign.tensor.cuda;

import dev.longalign.host.NativeFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Finds a library of CUDA and loads it, so that JCuda finds it loaded: JCuda 12.6 is linked against
 * CUDA 12's by name and by symbol version, and it need not lie where the loader looks. Where only
 * CUDA 13's is installed, a small library of ours takes that name and forwards to it.
 */
enum CudaLibrary {
  CUBLAS("libcublas", "libcublasLt", "jcuda.jcublas.JCublas2"),
  NVRTC("libnvrtc", "libnvrtc-builtins", "jcuda.nvrtc.JNvrtc");

  private static final List<String> SYSTEM =
      List.of("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64");

  /** For the life of the process, as libraries are. */
  private static final Map<CudaLibrary, Found> LOADED = new EnumMap<>(CudaLibrary.class);

  private final String name;

  /** What it is made of and lies beside it, where the loader need not look either. */
  private final String part;

  /** JCuda's class that calls it. */
  private final String binding;

  CudaLibrary(String name, String part, String binding) {
    this.name = name;
    this.part = part;
    this.binding = binding;
  }

  /** The library that was loaded, for messages. */
  record Found(Path file, boolean forwarded) {}

  /**
   * Loads the library and JCuda's class for it.
   *
   * @throws UnsatisfiedLinkError if there is none, or it does not load; the message says what is
   *     missing
   */
  Found load() {
    synchronized (LOADED) {
      Found found = LOADED.get(this);
      if (found == null) {
        found = find();
        JCudaNatives.load(binding);
        LOADED.put(this, found);
      }
      return found;
    }
  }

  private Found find() {
    List<Path> folders = folders();
    Optional<Path> exact = find(folders, needed());
    if (exact.isPresent()) {
      loadWithPart(exact.get());
      return new Found(exact.get(), false);
    }
    String newer = name + ".so.13";
    Path file =
        find(folders, newer)
            .orElseThrow(
                () ->
                    new UnsatisfiedLinkError(
                        needed() + " is not there, nor " + newer + " (looked in " + folders + ")"));
    loadWithPart(file);
    System.load(forward(newer).toString());
    return new Found(file, true);
  }

  private String needed() {
    return name + ".so.12";
  }

  /** Parts have the library's version, or a longer one: libnvrtc-builtins.so.13.0. */
  private void loadWithPart(Path library) {
    String parts = part + library.getFileName().toString().substring(name.length());
    try (Stream<Path> files = Files.list(library.getParent())) {
      files
          .filter(file -> file.getFileName().toString().startsWith(parts))
          .sorted()
          .forEach(file -> System.load(file.toString()));
    } catch (IOException e) {
      // Then the loader may find them.
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

  /** Our library, as a file. */
  private Path forward(String newer) {
    String file = name + "-forward.so";
    Path folder = NativeFiles.folder(name + "-forward", CudaLibrary.class, List.of(file));
    if (folder == null) {
      throw new UnsatisfiedLinkError(
          needed()
              + " is not there; this build cannot use "
              + newer
              + ": it was made without a C compiler");
    }
    return folder.resolve(file);
  }
}
