package dev.longalign.io;

import dev.longalign.LongAlignException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.util.List;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/**
 * Writes tensors as {@code torch.save} does (zip format), so that {@code torch.load(path,
 * weights_only=True)} reads them: a bare list, as this method's LoRA files are, or a dict. Atomic;
 * equal content gives equal bytes.
 */
public final class TorchWriter {
  /**
   * Constant; not January 1980, which java.util.zip takes for "earlier" and describes in an extra
   * field.
   */
  private static final LocalDateTime NO_TIME = LocalDateTime.of(1980, 2, 1, 0, 0);

  private static final int ALIGNMENT = 64;

  private TorchWriter() {}

  /** Writes a bare list; the tensors' names are not kept. */
  public static void writeList(Path path, List<StoredTensor> tensors) {
    write(path, tensors, false);
  }

  /** Writes a dict from name to tensor, in the given order. */
  public static void writeDict(Path path, List<StoredTensor> tensors) {
    if (tensors.stream().map(StoredTensor::name).distinct().count() != tensors.size()) {
      throw new LongAlignException(path + " cannot be written: a tensor name occurs twice");
    }
    write(path, tensors, true);
  }

  private static void write(Path path, List<StoredTensor> tensors, boolean named) {
    byte[] pickle = TorchPickle.write(path, tensors, named);
    AtomicFiles.write(
        path,
        tensors.stream().mapToLong(StoredTensor::byteSize).sum(),
        out -> {
          CountingStream counter = new CountingStream(out);
          ZipOutputStream zip = new ZipOutputStream(counter);
          entry(zip, counter, "archive/data.pkl", ByteBuffer.wrap(pickle));
          entry(zip, counter, "archive/byteorder", ascii("little"));
          for (int i = 0; i < tensors.size(); i++) {
            entry(zip, counter, "archive/data/" + i, tensors.get(i).data());
          }
          entry(zip, counter, "archive/version", ascii("3\n"));
          zip.finish();
        });
  }

  private static ByteBuffer ascii(String text) {
    return ByteBuffer.wrap(text.getBytes(StandardCharsets.US_ASCII));
  }

  /** Stored, with its data at a multiple of 64 bytes, as torch lays it out for memory maps. */
  private static void entry(
      ZipOutputStream zip, CountingStream counter, String name, ByteBuffer data)
      throws IOException {
    CRC32 crc = new CRC32();
    crc.update(data.duplicate());
    ZipEntry entry = new ZipEntry(name);
    entry.setMethod(ZipEntry.STORED);
    entry.setTimeLocal(NO_TIME);
    entry.setSize(data.remaining());
    entry.setCompressedSize(data.remaining());
    entry.setCrc(crc.getValue());
    long unpadded = counter.count + 30 + name.length() + 4;
    int padding = (int) (-unpadded & (ALIGNMENT - 1));
    byte[] extra = new byte[4 + padding];
    extra[0] = 'F';
    extra[1] = 'B';
    extra[2] = (byte) padding;
    entry.setExtra(extra);
    zip.putNextEntry(entry);
    SafetensorsWriter.copy(data, zip);
    zip.closeEntry();
  }

  private static final class CountingStream extends OutputStream {
    private final OutputStream out;
    private long count;

    CountingStream(OutputStream out) {
      this.out = out;
    }

    @Override
    public void write(int b) throws IOException {
      write(new byte[] {(byte) b}, 0, 1);
    }

    @Override
    public void write(byte[] bytes, int from, int length) throws IOException {
      out.write(bytes, from, length);
      count += length;
    }
  }

  /** The pickle of a list or dict of tensors, protocol 2. */
  private static final class TorchPickle {
    private final ByteArrayOutputStream out = new ByteArrayOutputStream();

    static byte[] write(Path path, List<StoredTensor> tensors, boolean named) {
      TorchPickle pickle = new TorchPickle();
      pickle.raw("\u0080\u0002" + (named ? "}(" : "]("));
      for (int i = 0; i < tensors.size(); i++) {
        if (named) {
          pickle.text(tensors.get(i).name());
        }
        pickle.tensor(path, tensors.get(i), i);
      }
      pickle.raw(named ? "u." : "e.");
      return pickle.out.toByteArray();
    }

    private void tensor(Path path, StoredTensor tensor, int key) {
      long[] dims = tensor.shape().toArray();
      long[] strides = new long[dims.length];
      long stride = 1;
      for (int axis = dims.length - 1; axis >= 0; axis--) {
        strides[axis] = stride;
        stride *= Math.max(1, dims[axis]);
      }
      raw("ctorch._utils\n_rebuild_tensor_v2\n((");
      text("storage");
      raw("ctorch\n" + storageType(path, tensor) + "\n");
      text(Integer.toString(key));
      text("cpu");
      integer(tensor.shape().size());
      raw("tQ");
      integer(0);
      tuple(dims);
      tuple(strides);
      raw("\u0089ccollections\nOrderedDict\n)RtR");
    }

    private static String storageType(Path path, StoredTensor tensor) {
      return switch (tensor.dtype()) {
        case F64 -> "DoubleStorage";
        case F32 -> "FloatStorage";
        case F16 -> "HalfStorage";
        case BF16 -> "BFloat16Storage";
        case I64 -> "LongStorage";
        case I32 -> "IntStorage";
        case I16 -> "ShortStorage";
        case I8 -> "CharStorage";
        case U8 -> "ByteStorage";
        case BOOL -> "BoolStorage";
        default ->
            throw new LongAlignException(
                path
                    + " cannot be written: "
                    + tensor
                    + ": torch files of "
                    + tensor.dtype()
                    + " are not supported; use safetensors");
      };
    }

    private void tuple(long[] values) {
      raw("(");
      for (long value : values) {
        integer(value);
      }
      raw("t");
    }

    private void integer(long value) {
      if (value == (int) value) {
        out.write('J');
        little(value, 4);
      } else {
        raw("\u008a\b");
        little(value, 8);
      }
    }

    private void text(String text) {
      byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
      out.write('X');
      little(utf8.length, 4);
      out.writeBytes(utf8);
    }

    private void little(long value, int bytes) {
      for (int i = 0; i < bytes; i++) {
        out.write((int) (value >>> (8 * i)));
      }
    }

    private void raw(String latin1) {
      out.writeBytes(latin1.getBytes(StandardCharsets.ISO_8859_1));
    }
  }
}
