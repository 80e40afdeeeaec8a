package dev.longalign.io;

import dev.longalign.LongAlignException;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/**
 * A safetensors file: eight bytes of header length, a JSON header, the data. Tensors are read when
 * they are asked for. The whole header is checked before the constructor returns.
 */
public final class SafetensorsFile implements TensorFile {
  private final MappedFile file;
  private final Map<String, StoredTensor> tensors;
  private final Map<String, String> metadata;

  private SafetensorsFile(
      MappedFile file, Map<String, StoredTensor> tensors, Map<String, String> metadata) {
    this.file = file;
    this.tensors = tensors;
    this.metadata = metadata;
  }

  /**
   * Opens and checks a file.
   *
   * @throws LongAlignException if it is not a valid safetensors file; the message says what is
   *     wrong
   */
  public static SafetensorsFile open(Path path) {
    MappedFile file = MappedFile.open(path);
    if (file.size() < 8) {
      throw refusal(file, "it has " + file.size() + " bytes, the header length alone takes 8");
    }
    long length = file.slice(0, 8).getLong();
    if (length < 0 || length > SafetensorsHeader.MAX_BYTES) {
      throw refusal(
          file,
          "a header of "
              + Long.toUnsignedString(length)
              + " bytes; at most "
              + SafetensorsHeader.MAX_BYTES
              + " are allowed"
              + file.hint());
    } else if (length > file.size() - 8) {
      throw refusal(
          file,
          "a header of "
              + length
              + " bytes in a file of "
              + file.size()
              + " (an incomplete download?)"
              + file.hint());
    }
    String json = Json.utf8(file.slice(8, length), file.source());
    if (!json.startsWith("{")) {
      throw refusal(file, "the header does not begin with '{'" + file.hint());
    }
    long dataStart = 8 + length;
    SafetensorsHeader header =
        SafetensorsHeader.parse(file.source(), json, file.size() - dataStart);
    Map<String, StoredTensor> tensors = new LinkedHashMap<>();
    header
        .entries()
        .forEach(
            (name, entry) -> {
              long offset = dataStart + entry.begin();
              long bytes = entry.end() - entry.begin();
              tensors.put(
                  name,
                  StoredTensor.inFile(
                      name,
                      entry.dtype(),
                      entry.shape(),
                      file.source(),
                      new FileRegion(path, offset, bytes),
                      () -> file.slice(offset, bytes)));
            });
    return new SafetensorsFile(
        file, Collections.unmodifiableMap(tensors), Collections.unmodifiableMap(header.metadata()));
  }

  private static LongAlignException refusal(MappedFile file, String reason) {
    return new LongAlignException(file.source() + ": not a valid safetensors file: " + reason);
  }

  public Path path() {
    return file.path();
  }

  /** Where a tensor's bytes lie in the file: absolute offset and length. */
  public FileRegion region(String name) {
    return tensor(name).region().orElseThrow();
  }

  @Override
  public Set<String> names() {
    return tensors.keySet();
  }

  @Override
  public StoredTensor tensor(String name) {
    StoredTensor tensor = tensors.get(name);
    if (tensor == null) {
      throw Names.missing(source(), name, names());
    }
    return tensor;
  }

  @Override
  public Map<String, String> metadata() {
    return metadata;
  }

  @Override
  public String source() {
    return file.source();
  }

  /** Nothing is held open. */
  @Override
  public void close() {}

  @Override
  public String toString() {
    return source() + " (" + tensors.size() + " tensors)";
  }
}
