package dev.longalign.io;

import dev.longalign.LongAlignException;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/** Tensors that are already at hand. */
final class MemoryTensorFile implements TensorFile {
  private final String source;
  private final Map<String, StoredTensor> tensors = new LinkedHashMap<>();

  MemoryTensorFile(String source, Collection<StoredTensor> tensors) {
    this.source = source;
    for (StoredTensor tensor : tensors) {
      if (this.tensors.put(tensor.name(), tensor) != null) {
        throw new LongAlignException(source + ": tensor '" + tensor.name() + "' occurs twice");
      }
    }
  }

  @Override
  public Set<String> names() {
    return Collections.unmodifiableSet(tensors.keySet());
  }

  @Override
  public StoredTensor tensor(String name) {
    return TensorFiles.find(this, tensors, name);
  }

  @Override
  public Map<String, String> metadata() {
    return Map.of();
  }

  @Override
  public String source() {
    return source;
  }

  @Override
  public void close() {}
}
