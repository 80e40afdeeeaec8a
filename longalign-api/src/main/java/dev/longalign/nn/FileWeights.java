package dev.longalign.nn;

import dev.longalign.LongAlignException;
import dev.longalign.io.Names;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFile;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.UnaryOperator;

/** Parameters from a file of tensors, of any floating type. */
public final class FileWeights implements WeightSource {
  private static final int MAX_LISTED = 40;

  private final TensorFile file;
  private final Map<String, String> stored = new LinkedHashMap<>();

  public FileWeights(TensorFile file) {
    this(file, name -> name);
  }

  /**
   * @param rename from the names in the file, which may be older ones, to those that the model
   *     declares
   */
  public FileWeights(TensorFile file, UnaryOperator<String> rename) {
    this.file = file;
    for (String name : file.names()) {
      stored.put(rename.apply(name), name);
    }
  }

  @Override
  public void check(List<Parameter> declared) {
    List<String> problems = new ArrayList<>();
    List<String> missing = new ArrayList<>();
    Set<String> unexpected = new LinkedHashSet<>(stored.keySet());
    for (Parameter parameter : declared) {
      unexpected.remove(parameter.name());
      if (!stored.containsKey(parameter.name())) {
        missing.add(parameter.name());
        continue;
      }
      StoredTensor tensor = stored(parameter);
      if (!squeezed(tensor.shape()).equals(squeezed(parameter.shape()))) {
        problems.add(
            tensor.name()
                + " in "
                + tensor.source()
                + ": expected "
                + parameter.shape()
                + ", found "
                + tensor.shape()
                + hint(parameter, tensor.shape()));
      } else if (!tensor.dtype().isFloating()) {
        problems.add(
            tensor.name()
                + " in "
                + tensor.source()
                + ": expected a floating point type, found "
                + tensor.dtype());
      }
    }
    list(problems, "missing", missing);
    list(problems, "unexpected", List.copyOf(unexpected));
    if (!problems.isEmpty()) {
      int shown = Math.min(problems.size(), MAX_LISTED);
      String more =
          problems.size() > shown
              ? "\n... and " + (problems.size() - shown) + " more like these"
              : "";
      throw new LongAlignException(String.join("\n", problems.subList(0, shown)) + more);
    }
  }

  private void list(List<String> problems, String what, List<String> names) {
    if (!names.isEmpty()) {
      problems.add(
          0,
          file.source()
              + ": "
              + names.size()
              + " "
              + what
              + " tensor"
              + (names.size() == 1 ? "" : "s")
              + ", as its config describes the model: "
              + Names.some(names));
    }
  }

  private static String hint(Parameter parameter, Shape found) {
    if (!parameter.name().equals("conv_in.weight") || found.rank() != 4) {
      return "";
    }
    return found.dim(1) == 9
        ? " (an inpainting UNet?)"
        : found.dim(1) == 8 ? " (an InstructPix2Pix UNet?)" : "";
  }

  @Override
  public Tensor load(Backend backend, Parameter parameter) {
    return Uploads.f32(backend, stored(parameter), parameter.shape());
  }

  private StoredTensor stored(Parameter parameter) {
    return file.tensor(stored.get(parameter.name()));
  }

  /** Linear layers may be stored as 1x1 convolutions and the other way round. */
  private static Shape squeezed(Shape shape) {
    int rank = shape.rank();
    return rank == 4 && shape.dim(2) == 1 && shape.dim(3) == 1
        ? Shape.of(shape.dim(0), shape.dim(1))
        : shape;
  }
}
