package dev.longalign.io;

import com.google.gson.stream.JsonWriter;
import dev.longalign.LongAlignException;
import java.io.IOException;
import java.io.OutputStream;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * Writes safetensors files: one tensor at a time, atomically, and always in the same order (wide
 * types first, so that every tensor is aligned, then by name), so that equal content gives equal
 * bytes.
 */
public final class SafetensorsWriter {
  private static final Comparator<StoredTensor> ORDER =
      Comparator.<StoredTensor>comparingInt(tensor -> -tensor.dtype().bytes())
          .thenComparing(StoredTensor::dtype)
          .thenComparing(StoredTensor::name);

  private SafetensorsWriter() {}

  /**
   * Writes the tensors; each one's bytes are asked for only when its turn comes.
   *
   * @param metadata free text; may be empty
   */
  public static void write(
      Path path, Collection<StoredTensor> tensors, Map<String, String> metadata) {
    List<StoredTensor> sorted = tensors.stream().sorted(ORDER).toList();
    ByteBuffer header = header(path, sorted, metadata);
    long bytes = header.limit() + sorted.stream().mapToLong(StoredTensor::byteSize).sum();
    AtomicFiles.write(
        path,
        bytes,
        out -> {
          out.write(header.array(), 0, header.limit());
          for (StoredTensor tensor : sorted) {
            copy(tensor.data(), out);
          }
        });
  }

  /** Writes without metadata but {@code format: pt}, which transformers asks for. */
  public static void write(Path path, Collection<StoredTensor> tensors) {
    write(path, tensors, Map.of("format", "pt"));
  }

  static void copy(ByteBuffer data, OutputStream out) throws IOException {
    byte[] chunk = new byte[Math.min(1 << 20, Math.max(1, data.remaining()))];
    while (data.hasRemaining()) {
      int n = Math.min(chunk.length, data.remaining());
      data.get(chunk, 0, n);
      out.write(chunk, 0, n);
    }
  }

  private static ByteBuffer header(
      Path path, List<StoredTensor> sorted, Map<String, String> metadata) {
    byte[] json = utf8(path, json(path, sorted, metadata));
    int padded = (json.length + 7) & ~7;
    if (padded > SafetensorsHeader.MAX_BYTES) {
      throw new LongAlignException(
          path
              + ": a header of "
              + padded
              + " bytes; the format allows "
              + SafetensorsHeader.MAX_BYTES);
    }
    ByteBuffer header = ByteBuffer.allocate(8 + padded).order(ByteOrder.LITTLE_ENDIAN);
    header.putLong(padded).put(json);
    while (header.hasRemaining()) {
      header.put((byte) ' ');
    }
    return header;
  }

  private static String json(Path path, List<StoredTensor> sorted, Map<String, String> metadata) {
    StringWriter text = new StringWriter();
    Set<String> names = new HashSet<>();
    try (JsonWriter json = new JsonWriter(text)) {
      json.beginObject();
      if (!metadata.isEmpty()) {
        json.name("__metadata__").beginObject();
        for (Map.Entry<String, String> entry : new TreeMap<>(metadata).entrySet()) {
          json.name(entry.getKey()).value(entry.getValue());
        }
        json.endObject();
      }
      long offset = 0;
      for (StoredTensor tensor : sorted) {
        if (!names.add(tensor.name()) || tensor.name().equals("__metadata__")) {
          throw new LongAlignException(
              path
                  + " cannot be written: the tensor name '"
                  + tensor.name()
                  + "' is reserved or occurs twice");
        }
        long end = Math.addExact(offset, tensor.byteSize());
        json.name(tensor.name()).beginObject().name("dtype").value(tensor.dtype().name());
        json.name("shape").beginArray();
        for (long dim : tensor.shape().toArray()) {
          json.value(dim);
        }
        json.endArray()
            .name("data_offsets")
            .beginArray()
            .value(offset)
            .value(end)
            .endArray()
            .endObject();
        offset = end;
      }
      json.endObject();
    } catch (IOException impossible) {
      throw new UncheckedIOException(impossible);
    }
    return text.toString();
  }

  private static byte[] utf8(Path path, String json) {
    try {
      ByteBuffer bytes = StandardCharsets.UTF_8.newEncoder().encode(CharBuffer.wrap(json));
      byte[] out = new byte[bytes.remaining()];
      bytes.get(out);
      return out;
    } catch (CharacterCodingException unpaired) {
      throw new LongAlignException(
          path + " cannot be written: a name or metadata text is not valid Unicode", unpaired);
    }
  }
}
