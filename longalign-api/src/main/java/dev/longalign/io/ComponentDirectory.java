package dev.longalign.io;

import dev.longalign.LongAlignException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * One part of a model in diffusers' or transformers' layout: a directory with a config and, mostly,
 * weights. Serves for the parts of a {@link ModelDirectory} and for parts that lie elsewhere (an
 * adapter, T5, a preference model).
 */
public final class ComponentDirectory {
  private static final List<String> CONFIGS =
      List.of(
          "config.json",
          "scheduler_config.json",
          "tokenizer_config.json",
          "preprocessor_config.json");
  private static final List<String> STEMS =
      List.of("diffusion_pytorch_model", "model", "pytorch_model");
  private static final List<String> VARIANTS = List.of("", "fp16", "bf16");

  private final Path path;
  private final String name;

  private ComponentDirectory(Path path) {
    this.path = path;
    this.name = String.valueOf(path.toAbsolutePath().normalize().getFileName());
  }

  public static ComponentDirectory open(Path path) {
    if (!Files.isDirectory(path)) {
      String found =
          Files.exists(path)
              ? " is a file, expected a directory with config and weights"
              : ": not there";
      throw new LongAlignException(path + found);
    }
    return new ComponentDirectory(path);
  }

  public Path path() {
    return path;
  }

  /** The directory's name: {@code unet}. */
  public String name() {
    return name;
  }

  /** Whether there is a config to read. */
  public boolean hasConfig() {
    return CONFIGS.stream().anyMatch(file -> Files.isRegularFile(path.resolve(file)));
  }

  /**
   * {@code config.json}, {@code scheduler_config.json}, {@code tokenizer_config.json} or the
   * preprocessor's.
   */
  public Config config() {
    return CONFIGS.stream()
        .map(path::resolve)
        .filter(Files::isRegularFile)
        .findFirst()
        .map(Config::read)
        .orElseThrow(
            () ->
                new LongAlignException(
                    path
                        + ": expected one of "
                        + CONFIGS
                        + ", found "
                        + listed()
                        + " (an incomplete download?)"));
  }

  /** A file of this directory, which must be there. */
  public Path file(String fileName) {
    Path file = path.resolve(fileName);
    if (!Files.isRegularFile(file)) {
      throw new LongAlignException(
          path + ": expected the file " + fileName + ", found " + listed());
    }
    return file;
  }

  /**
   * The weights: safetensors before torch files, full precision before fp16, one file before
   * shards.
   */
  public TensorFile weights() {
    Path file =
        weightsFile()
            .orElseThrow(
                () ->
                    new LongAlignException(
                        path
                            + ": no weights; expected for example "
                            + STEMS.get(0)
                            + ".safetensors or model.safetensors, found "
                            + listed()
                            + " (an incomplete download? with Git, run 'git lfs pull')"));
    return StateDict.unwrap(TensorFiles.open(file));
  }

  /**
   * The weights of a variant that lies beside the usual ones, for example {@code fp16}.
   *
   * @throws LongAlignException if there are no such weights
   */
  public TensorFile weights(String variant) {
    return candidates(variant).stream()
        .map(path::resolve)
        .filter(Files::isRegularFile)
        .findFirst()
        .map(file -> StateDict.unwrap(TensorFiles.open(file)))
        .orElseThrow(
            () ->
                new LongAlignException(
                    path + ": no weights of the variant '" + variant + "', found " + listed()));
  }

  /** The file (or index of shards) that {@link #weights()} opens. */
  public Optional<Path> weightsFile() {
    List<String> names = new ArrayList<>();
    VARIANTS.forEach(variant -> names.addAll(candidates(variant)));
    List<String> safe = names.stream().filter(file -> file.contains(".safetensors")).toList();
    names.removeAll(safe);
    names.addAll(0, safe);
    Optional<Path> usual =
        names.stream().map(path::resolve).filter(Files::isRegularFile).findFirst();
    if (usual.isPresent()) {
      return usual;
    }
    List<String> others =
        fileNames().stream().filter(file -> file.endsWith(".safetensors")).toList();
    return others.size() == 1 ? Optional.of(path.resolve(others.get(0))) : Optional.empty();
  }

  /**
   * Names in the order of preference; both ways in which libraries put a variant into the name of
   * an index.
   */
  private static List<String> candidates(String variant) {
    String dotted = variant.isEmpty() ? "" : "." + variant;
    List<String> names = new ArrayList<>();
    for (String extension : List.of(".safetensors", ".bin")) {
      for (String stem : STEMS) {
        names.add(stem + dotted + extension);
        names.add(stem + dotted + extension + ".index.json");
        names.add(stem + extension + ".index" + dotted + ".json");
      }
    }
    return names;
  }

  private String listed() {
    return "[" + Names.some(fileNames()) + "]";
  }

  /** The names of the files, sorted. */
  public List<String> fileNames() {
    try (Stream<Path> files = Files.list(path)) {
      return files
          .filter(Files::isRegularFile)
          .map(file -> file.getFileName().toString())
          .sorted()
          .toList();
    } catch (IOException failure) {
      throw new LongAlignException(path + " cannot be read: " + Reasons.of(failure), failure);
    }
  }

  @Override
  public String toString() {
    return path.toString();
  }
}
