package dev.longalign.io;

import dev.longalign.LongAlignException;
import dev.longalign.io.TorchGlobals.StorageRef;
import dev.longalign.io.TorchGlobals.TensorRef;
import dev.longalign.tensor.Shape;
import java.lang.ref.SoftReference;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** The storages of a torch file by key, and the tensors that view them. */
final class TorchStorages {
  private final InputFile file;
  private final ZipDirectory zip;
  private final Map<String, ZipDirectory.Entry> located;
  private final Map<String, SoftReference<ByteBuffer>> inflated = new ConcurrentHashMap<>();

  /**
   * @param zip null for the legacy format
   * @param located where each key's bytes lie
   */
  TorchStorages(InputFile file, ZipDirectory zip, Map<String, ZipDirectory.Entry> located) {
    this.file = file;
    this.zip = zip;
    this.located = located;
  }

  /** Binds a view to its storage, which must be there and as long as the pickle says. */
  StoredTensor tensor(String name, TensorRef view) {
    StorageRef storage = view.storage();
    ZipDirectory.Entry entry = located.get(storage.key());
    String what = "tensor '" + Names.printable(name) + "'";
    if (entry == null) {
      throw refusal(what + " needs storage '" + storage.key() + "', which is not in the file");
    } else if (entry.size() != storage.bytes()) {
      throw refusal(
          what
              + ": storage '"
              + storage.key()
              + "' should have "
              + storage.bytes()
              + " bytes, its record has "
              + entry.size());
    } else if (entry.deflated() && entry.size() > ZipDirectory.MAX_INFLATED) {
      throw refusal(
          what + ": storage '" + storage.key() + "' is compressed; save it again with torch.save");
    }
    long width = view.dtype().bytes();
    long start = view.offset() * width;
    if (isContiguous(view)) {
      long length = view.shape().size() * width;
      FileRegion region =
          entry.deflated() ? null : new FileRegion(file.path(), entry.offset() + start, length);
      return StoredTensor.inFile(
          name,
          view.dtype(),
          view.shape(),
          file.source(),
          region,
          () -> bytes(entry, start, length));
    }
    long length = (reach(view) + 1) * width;
    return StoredTensor.inFile(
        name,
        view.dtype(),
        view.shape(),
        file.source(),
        null,
        () -> gather(bytes(entry, start, length), view));
  }

  private ByteBuffer bytes(ZipDirectory.Entry entry, long start, long length) {
    if (!entry.deflated()) {
      return file.slice(entry.offset() + start, length);
    }
    SoftReference<ByteBuffer> cached = inflated.get(entry.name());
    ByteBuffer content = cached == null ? null : cached.get();
    if (content == null) {
      content = zip.content(entry);
      inflated.put(entry.name(), new SoftReference<>(content));
    }
    return content.slice((int) start, (int) length);
  }

  private static boolean isContiguous(TensorRef view) {
    long expected = 1;
    Shape shape = view.shape();
    if (shape.size() == 0) {
      return true;
    }
    for (int axis = shape.rank() - 1; axis >= 0; axis--) {
      if (shape.dim(axis) != 1 && view.strides()[axis] != expected) {
        return false;
      }
      expected *= shape.dim(axis);
    }
    return true;
  }

  /** The last element of a view, counted from its first. */
  private static long reach(TensorRef view) {
    long reach = 0;
    for (int axis = 0; axis < view.strides().length; axis++) {
      reach += (view.shape().dim(axis) - 1) * view.strides()[axis];
    }
    return reach;
  }

  /** Copies a strided view into row-major order. */
  private static ByteBuffer gather(ByteBuffer from, TensorRef view) {
    int width = view.dtype().bytes();
    Shape shape = view.shape();
    int rank = shape.rank();
    ByteBuffer out =
        ByteBuffer.allocate(Math.toIntExact(shape.size() * width)).order(ByteOrder.LITTLE_ENDIAN);
    long[] index = new long[rank];
    long at = 0;
    while (out.hasRemaining()) {
      out.put(out.position(), from, (int) (at * width), width);
      out.position(out.position() + width);
      for (int axis = rank - 1; axis >= 0; axis--) {
        at += view.strides()[axis];
        if (++index[axis] < shape.dim(axis)) {
          break;
        }
        at -= shape.dim(axis) * view.strides()[axis];
        index[axis] = 0;
      }
    }
    return out.flip();
  }

  private LongAlignException refusal(String reason) {
    return new LongAlignException(file.source() + ": not a readable torch file: " + reason);
  }
}
