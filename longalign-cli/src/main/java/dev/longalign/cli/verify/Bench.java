package dev.longalign.cli.verify;

import dev.longalign.LongAlignException;
import dev.longalign.io.ComponentDirectory;
import dev.longalign.io.Reasons;
import dev.longalign.io.TensorFile;
import dev.longalign.nn.FileWeights;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Device;
import dev.longalign.text.EncoderProvider;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.ServiceLoader;
import java.util.function.Predicate;
import java.util.function.UnaryOperator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * What all cases need: the golden directory and a device.
 *
 * @param root the golden directory
 * @param threads for encoders, 0 for one per core
 */
record Bench(Path root, Device device, Backend backend, int threads) {
  private static final Pattern MODEL_PATH = Pattern.compile("models/[\\w.-]+(?:/[\\w.-]+)*");

  EncoderProvider encoders() {
    return ServiceLoader.load(EncoderProvider.class)
        .findFirst()
        .orElseThrow(
            () ->
                new LongAlignException(
                    "no text encoders on the class path; add dev.longalign:longalign-onnx"));
  }

  /** The model directory that a file's title or notes name, else the first one that can serve. */
  Path model(Vectors vectors) {
    Matcher matcher = MODEL_PATH.matcher(vectors.prose());
    while (matcher.find()) { // a directory, a part of it, or a file in it
      Path model = root.resolve(Path.of(matcher.group().replaceAll("\\.+$", "")).subpath(0, 2));
      if (Files.isDirectory(model)) {
        return model;
      }
    }
    return models().stream()
        .filter(model -> Files.isDirectory(model.resolve("unet")))
        .findFirst()
        .orElseThrow(
            () ->
                new LongAlignException(root + "/models: expected a model with a unet, found none"));
  }

  /** The part of a model that a file's title or notes name, else the part of the given name. */
  Path part(Vectors vectors, String name) {
    Path named = named(vectors);
    boolean whole = named == null || root.relativize(named).getNameCount() < 3;
    return whole ? model(vectors).resolve(name) : named;
  }

  /**
   * The first directory inside a model that a file's title or notes name and that matches, else the
   * part of the given name.
   */
  Path part(Vectors vectors, String name, Predicate<Path> matches) {
    Matcher matcher = MODEL_PATH.matcher(vectors.prose());
    while (matcher.find()) {
      Path path = root.resolve(matcher.group().replaceAll("\\.+$", ""));
      if (Files.isDirectory(path)
          && root.relativize(path).getNameCount() > 2
          && matches.test(path)) {
        return path;
      }
    }
    return model(vectors).resolve(name);
  }

  /** The part of a model that matches; adapters are named after their training step. */
  Path part(Path model, String what, Predicate<String> name) {
    return list(model).stream()
        .filter(Files::isDirectory)
        .filter(path -> name.test(path.getFileName().toString()))
        .findFirst()
        .orElseThrow(() -> new LongAlignException(model + ": expected " + what + ", found none"));
  }

  Path adapter(Path model) {
    return part(model, "a text adapter's directory", name -> name.contains("adapter"));
  }

  List<Path> models() {
    Path models = root.resolve("models");
    return Files.isDirectory(models)
        ? list(models).stream().filter(Files::isDirectory).toList()
        : List.of();
  }

  /** The entries of a directory, sorted. */
  static List<Path> list(Path directory) {
    try (Stream<Path> entries = Files.list(directory)) {
      return entries.sorted().toList();
    } catch (IOException e) {
      throw new LongAlignException(directory + " cannot be read: " + Reasons.of(e), e);
    }
  }

  static FileWeights weights(Path component) {
    return weights(component, UnaryOperator.identity());
  }

  /** The weights of a part of a model, under the names that {@code rename} gives. */
  static FileWeights weights(Path component, UnaryOperator<String> rename) {
    TensorFile file = ComponentDirectory.open(component).weights();
    return new FileWeights(file, rename);
  }

  private Path named(Vectors vectors) {
    Matcher matcher = MODEL_PATH.matcher(vectors.prose());
    while (matcher.find()) {
      Path path = root.resolve(matcher.group().replaceAll("\\.+$", ""));
      if (Files.isDirectory(path)) {
        return path;
      }
    }
    return null;
  }
}
