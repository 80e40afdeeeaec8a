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
  private final InputFile file;
  private final Map<String, StoredTensor> tensors = new LinkedHashMap<>();
  private final Map<String, String> unsupported = new LinkedHashMap<>();
  private final SafetensorsHeader header;

  private SafetensorsFile(InputFile file, Path path, SafetensorsHeader header, long dataStart) {
    this.file = file;
    this.header = header;
    header
        .entries()
        .forEach(
            (name, entry) -> {
              if (entry.dtype() == null) {
                unsupported.put(name, entry.type());
              } else {
                tensors.put(name, stored(file, path, name, entry, dataStart + entry.begin()));
              }
            });
  }

  private static StoredTensor stored(
      InputFile file, Path path, String name, SafetensorsHeader.Entry entry, long offset) {
    long bytes = entry.end() - entry.begin();
    return StoredTensor.inFile(
        name,
        entry.dtype(),
        entry.shape(),
        file.source(),
        new FileRegion(path, offset, bytes),
        () -> file.slice(offset, bytes));
  }

  /**
   * Opens and checks a file.
   *
   * @throws LongAlignException if it is not a valid safetensors file; the message says what is
   *     wrong
   */
  public static SafetensorsFile open(Path path) {
    InputFile file = InputFile.open(path);
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
    if (!json.stripLeading().startsWith("{")) {
      throw refusal(file, "the header does not begin with '{'" + file.hint());
    }
    long dataStart = 8 + length;
    return new SafetensorsFile(
        file,
        path,
        SafetensorsHeader.parse(file.source(), json, file.size() - dataStart),
        dataStart);
  }

  private static LongAlignException refusal(InputFile file, String reason) {
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
    return Collections.unmodifiableSet(header.entries().keySet());
  }

  @Override
  public Map<String, String> unsupported() {
    return Collections.unmodifiableMap(unsupported);
  }

  @Override
  public StoredTensor tensor(String name) {
    return TensorFiles.find(this, tensors, name);
  }

  @Override
  public Map<String, String> metadata() {
    return Collections.unmodifiableMap(header.metadata());
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
    return source() + " (" + names().size() + " tensors)";
  }
}
