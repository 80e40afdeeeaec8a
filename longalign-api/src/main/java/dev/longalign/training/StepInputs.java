package dev.longalign.training;

import dev.longalign.LongAlignException;
import dev.longalign.io.SafetensorsFile;
import dev.longalign.io.SafetensorsWriter;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFile;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Everything that goes into the loss of a micro-batch beside the parameters: what the examples were
 * encoded to, and what was drawn. Can be saved and read again, so that a step that went wrong can
 * be repeated.
 *
 * @param ids names the examples
 * @param tensors by name, f32; pictures and latents are [B, H, W, C]
 * @param integers by name: timesteps, offsets
 */
public record StepInputs(
    List<String> ids, Map<String, Tensor> tensors, Map<String, int[]> integers) {
  private static final String IDS = "ids";

  public StepInputs {
    ids = List.copyOf(ids);
    tensors = Collections.unmodifiableMap(new LinkedHashMap<>(tensors));
    integers = Collections.unmodifiableMap(new LinkedHashMap<>(integers));
  }

  /** The tensor of a name. */
  public Tensor tensor(String name) {
    return found(name, tensors.get(name));
  }

  /** The integers of a name. */
  public int[] integers(String name) {
    return found(name, integers.get(name));
  }

  private <T> T found(String name, T value) {
    if (value == null) {
      throw new LongAlignException(
          "step inputs: expected '"
              + name
              + "', found "
              + tensors.keySet()
              + " and "
              + integers.keySet()
              + "; they were prepared for another objective");
    }
    return value;
  }

  /** Writes a safetensors file, atomically. */
  public void write(Path file) {
    List<StoredTensor> stored = new ArrayList<>();
    tensors.forEach(
        (name, x) -> stored.add(StoredTensor.ofFloats(name, DType.F32, x.shape(), x.toFloats())));
    integers.forEach((name, values) -> stored.add(stored(name, values)));
    SafetensorsWriter.write(file, stored, Map.of(IDS, String.join("\n", ids)));
  }

  private static StoredTensor stored(String name, int[] values) {
    ByteBuffer bytes =
        ByteBuffer.allocate(Integer.BYTES * values.length).order(ByteOrder.LITTLE_ENDIAN);
    for (int value : values) {
      bytes.putInt(value);
    }
    return StoredTensor.of(name, DType.I32, Shape.of(values.length), bytes.flip());
  }

  /** Reads what {@link #write} wrote; the tensors belong to the scope that is open. */
  public static StepInputs read(Path file, Backend backend) {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    Map<String, int[]> integers = new LinkedHashMap<>();
    try (TensorFile stored = SafetensorsFile.open(file)) {
      for (String name : stored.names()) {
        StoredTensor tensor = stored.tensor(name);
        if (tensor.dtype() == DType.I32) {
          long[] values = tensor.toLongs();
          int[] ints = new int[values.length];
          for (int i = 0; i < ints.length; i++) {
            ints[i] = Math.toIntExact(values[i]);
          }
          integers.put(name, ints);
        } else {
          tensors.put(name, Tensor.of(backend, tensor.shape(), tensor.toFloats()));
        }
      }
      String ids = stored.metadata().getOrDefault(IDS, "");
      return new StepInputs(ids.isEmpty() ? List.of() : ids.lines().toList(), tensors, integers);
    }
  }
}
