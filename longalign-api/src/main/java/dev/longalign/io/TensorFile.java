package dev.longalign.io;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.Shape;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Named tensors: a safetensors file, a sharded set of them, a torch state dict, or tensors in
 * memory. Thread-safe. Bytes already obtained from a {@link StoredTensor} stay valid after {@link
 * #close()}.
 */
public interface TensorFile extends AutoCloseable {

  /** The names, in the order of the file. */
  Set<String> names();

  /**
   * The tensor of that name.
   *
   * @throws LongAlignException if there is none, or its type is not supported; the message names
   *     the file and the closest names or the type
   */
  StoredTensor tensor(String name);

  /**
   * By name, the type of those tensors that cannot be read because their type is not supported
   * ({@code C64}); {@link #tensor} refuses them, {@link #names} has them.
   */
  default Map<String, String> unsupported() {
    return Map.of();
  }

  /** Free text that travels with the tensors; empty if there is none. */
  Map<String, String> metadata();

  /** The file, as messages show it: its name and that of its directory. */
  String source();

  default boolean contains(String name) {
    return names().contains(name);
  }

  /** The tensor of that name, refused with both shapes if it is not of the expected one. */
  default StoredTensor tensor(String name, Shape expected) {
    return tensor(name).expect(expected);
  }

  /** All tensors of a supported type, in the order of the file. */
  default List<StoredTensor> tensors() {
    return names().stream()
        .filter(name -> !unsupported().containsKey(name))
        .map(this::tensor)
        .toList();
  }

  @Override
  void close();
}
