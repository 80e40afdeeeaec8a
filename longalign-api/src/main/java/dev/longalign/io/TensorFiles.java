package dev.longalign.io;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.DType;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Opens weight files of any supported kind. */
public final class TensorFiles {
  private TensorFiles() {}

  /**
   * Opens a safetensors file, the index of a sharded set ({@code *.index.json}), or a torch file;
   * told apart by content, with the extension deciding where the content is damaged.
   *
   * @throws LongAlignException if it is none of them or damaged
   */
  public static TensorFile open(Path path) {
    String name = String.valueOf(path.getFileName()).toLowerCase(Locale.ROOT);
    if (name.endsWith(".json")) {
      return ShardedTensorFile.open(path);
    } else if (name.endsWith(".safetensors")) {
      return SafetensorsFile.open(path);
    }
    InputFile file = InputFile.open(path);
    if (TorchFile.looksLikeTorch(file)) {
      return TorchFile.open(path);
    } else if (looksLikeSafetensors(file)) {
      return SafetensorsFile.open(path);
    } else if (name.endsWith(".pt")
        || name.endsWith(".pth")
        || name.endsWith(".bin")
        || name.endsWith(".ckpt")) {
      return TorchFile.open(path);
    }
    throw new LongAlignException(
        file.source()
            + ": expected weights (.safetensors, .safetensors.index.json, .pt, .bin), found"
            + " something else"
            + file.hint());
  }

  /** Tensors in memory as a file; {@code source} stands for the file's name in messages. */
  public static TensorFile of(String source, Collection<StoredTensor> tensors) {
    return new MemoryTensorFile(source, tensors);
  }

  /** The tensor of that name among those of a file, or the refusal. */
  static StoredTensor find(TensorFile file, Map<String, StoredTensor> tensors, String name) {
    StoredTensor tensor = tensors.get(name);
    if (tensor != null) {
      return tensor;
    } else if (file.unsupported().containsKey(name)) {
      throw new LongAlignException(
          "tensor '"
              + Names.printable(name)
              + "' in "
              + file.source()
              + ": expected one of the types "
              + List.of(DType.values())
              + ", found "
              + Names.printable(file.unsupported().get(name))
              + "; convert it to one of them");
    }
    throw Names.missing(file.source(), name, file.names());
  }

  private static boolean looksLikeSafetensors(InputFile file) {
    if (file.size() < 10) {
      return false;
    }
    ByteBuffer start = file.slice(0, Math.min(file.size(), 64));
    long length = start.getLong();
    String header = StandardCharsets.ISO_8859_1.decode(start).toString();
    return length > 0 && length <= file.size() - 8 && header.stripLeading().startsWith("{");
  }
}
