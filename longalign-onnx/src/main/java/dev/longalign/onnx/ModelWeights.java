package dev.longalign.onnx;

import dev.longalign.LongAlignException;
import dev.longalign.io.TensorFile;
import dev.longalign.io.TensorFiles;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Finds the weights in a model directory as transformers writes it. */
final class ModelWeights {
  /** In order of preference: in place before copied, full precision before half. */
  private static final List<String> NAMES =
      List.of(
          "model.safetensors",
          "model.safetensors.index.json",
          "model.fp16.safetensors",
          "pytorch_model.bin",
          "pytorch_model.bin.index.json",
          "pytorch_model.fp16.bin");

  private ModelWeights() {}

  static TensorFile open(Path directory) {
    for (String name : NAMES) {
      Path file = directory.resolve(name);
      if (Files.exists(file)) {
        return TensorFiles.open(file);
      }
    }
    throw new LongAlignException(
        "no weights in " + directory + ": expected one of " + String.join(", ", NAMES)
            + "; was the download complete?");
  }
}
