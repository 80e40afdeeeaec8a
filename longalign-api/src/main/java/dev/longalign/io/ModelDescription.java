package dev.longalign.io;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.DType;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * What a model directory holds, for a person to read.
 *
 * @param pipelineClass as {@code model_index.json} names it
 */
public record ModelDescription(Path path, String pipelineClass, List<Component> components) {
  /**
   * A part of the model.
   *
   * @param className the class that its config or the model index names; empty if none does
   * @param weights absent for parts without weights and where they cannot be read
   * @param problem why the weights cannot be read; empty if they can
   */
  public record Component(
      String name,
      String className,
      List<FileSize> files,
      Optional<Weights> weights,
      String problem) {}

  /**
   * @param bytes size of the file
   */
  public record FileSize(String name, long bytes) {}

  /**
   * The weights of a part.
   *
   * @param file the file or index that is read
   * @param parameters number of elements in all tensors
   * @param dtypes elements by type
   */
  public record Weights(String file, int tensors, long parameters, Map<DType, Long> dtypes) {}

  static ModelDescription of(ModelDirectory model) {
    List<Component> components = new ArrayList<>();
    for (String name : model.components()) {
      components.add(component(model, model.component(name)));
    }
    return new ModelDescription(model.path(), model.pipelineClass(), List.copyOf(components));
  }

  private static Component component(ModelDirectory model, ComponentDirectory directory) {
    List<FileSize> files =
        directory.fileNames().stream()
            .map(file -> new FileSize(file, size(directory.path().resolve(file))))
            .toList();
    Optional<Weights> weights = Optional.empty();
    String problem = "";
    try {
      weights = directory.weightsFile().map(ModelDescription::weights);
    } catch (LongAlignException unreadable) {
      problem = unreadable.getMessage();
    }
    return new Component(directory.name(), className(model, directory), files, weights, problem);
  }

  private static String className(ModelDirectory model, ComponentDirectory directory) {
    Optional<String> indexed = model.className(directory.name());
    if (indexed.isPresent() || !directory.hasConfig()) {
      return indexed.orElse("");
    }
    try {
      Config config = directory.config();
      List<String> architectures = config.getStringList("architectures", List.of());
      return architectures.isEmpty() ? config.getString("_class_name", "") : architectures.get(0);
    } catch (LongAlignException damaged) {
      return "";
    }
  }

  private static Weights weights(Path file) {
    try (TensorFile tensors = TensorFiles.open(file)) {
      Map<DType, Long> dtypes = new EnumMap<>(DType.class);
      tensors
          .tensors()
          .forEach(tensor -> dtypes.merge(tensor.dtype(), tensor.shape().size(), Long::sum));
      long parameters = dtypes.values().stream().mapToLong(Long::longValue).sum();
      return new Weights(file.getFileName().toString(), tensors.names().size(), parameters, dtypes);
    }
  }

  private static long size(Path file) {
    try {
      return Files.size(file);
    } catch (IOException gone) {
      throw new LongAlignException(file + " cannot be read: " + Reasons.of(gone), gone);
    }
  }
}
