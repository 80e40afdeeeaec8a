package dev.longalign.io;

import dev.longalign.LongAlignException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;

/**
 * The central directory of a zip file (with zip64), for reading parts of stored entries, which
 * {@link java.util.zip.ZipFile} does not offer. Names that leave the archive are refused; nothing
 * is ever unpacked.
 */
final class ZipDirectory {
  private static final int END = 0x06054b50;
  private static final int END_64 = 0x06064b50;
  private static final int LOCATOR_64 = 0x07064b50;
  private static final int CENTRAL = 0x02014b50;
  private static final int LOCAL = 0x04034b50;
  private static final long MAX_DIRECTORY = 16L << 20;
  private static final long U32 = 0xffffffffL;

  /**
   * The largest entry that is inflated: compressed archives are repacked small ones, torch itself
   * stores.
   */
  static final long MAX_INFLATED = 64L << 20;

  private final InputFile file;
  private final Map<String, Entry> entries = new LinkedHashMap<>();

  /**
   * @param offset of the (possibly compressed) data in the file
   */
  record Entry(String name, boolean deflated, long offset, long compressedSize, long size) {}

  private record End(long entries, long size, long offset) {}

  private ZipDirectory(InputFile file) {
    this.file = file;
  }

  static ZipDirectory read(InputFile file) {
    ZipDirectory zip = new ZipDirectory(file);
    End end = zip.findEnd();
    if (end.size() < 0
        || end.size() > MAX_DIRECTORY
        || end.offset() < 0
        || end.offset() > file.size() - end.size()) {
      throw zip.refusal(
          "its directory ("
              + end.size()
              + " bytes at "
              + end.offset()
              + ") lies outside of the file");
    }
    ByteBuffer directory = file.slice(end.offset(), end.size());
    for (long i = 0; i < end.entries(); i++) {
      zip.readEntry(directory, end.offset());
    }
    return zip;
  }

  Map<String, Entry> entries() {
    return entries;
  }

  /** The content: as it is stored, or inflated. */
  ByteBuffer content(Entry entry) {
    return entry.deflated() ? inflate(entry) : file.slice(entry.offset(), entry.size());
  }

  private End findEnd() {
    long size = file.size();
    int tail = (int) Math.min(size, 22 + 0xffff);
    ByteBuffer bytes = file.slice(size - tail, tail);
    for (int at = tail - 22; at >= 0; at--) {
      if (bytes.getInt(at) == END && at + 22 + (bytes.getShort(at + 20) & 0xffff) <= tail) {
        return end(bytes, at, size - tail + at);
      }
    }
    throw refusal("its end with the directory is missing (an incomplete download?)");
  }

  private End end(ByteBuffer bytes, int at, long position) {
    long count = bytes.getShort(at + 10) & 0xffff;
    long size = bytes.getInt(at + 12) & U32;
    long offset = bytes.getInt(at + 16) & U32;
    if (position >= 20 && file.slice(position - 20, 4).getInt() == LOCATOR_64) {
      long at64 = file.slice(position - 20 + 8, 8).getLong();
      if (at64 < 0 || at64 > file.size() - 56 || file.slice(at64, 4).getInt() != END_64) {
        throw refusal("its zip64 directory is damaged");
      }
      ByteBuffer end64 = file.slice(at64, 56);
      return new End(end64.getLong(32), end64.getLong(40), end64.getLong(48));
    }
    return new End(count, size, offset);
  }

  private void readEntry(ByteBuffer directory, long directoryOffset) {
    if (directory.remaining() < 46 || directory.getInt(directory.position()) != CENTRAL) {
      throw refusal("its directory is damaged");
    }
    int at = directory.position();
    int flags = directory.getShort(at + 8);
    int method = directory.getShort(at + 10) & 0xffff;
    int nameLength = directory.getShort(at + 28) & 0xffff;
    int extraLength = directory.getShort(at + 30) & 0xffff;
    int commentLength = directory.getShort(at + 32) & 0xffff;
    if (directory.remaining() < 46 + nameLength + extraLength + commentLength) {
      throw refusal("its directory is damaged");
    }
    String name =
        Json.utf8(directory.slice(at + 46, nameLength), file.source() + ": name of a zip entry");
    String shown = "entry '" + Names.printable(name) + "'";
    if (name.startsWith("/")
        || name.contains("\\")
        || name.contains(":")
        || ("/" + name + "/").contains("/../")) {
      throw refusal(shown + " would leave the archive");
    } else if ((flags & 1) != 0) {
      throw refusal(shown + " is encrypted");
    } else if (method != 0 && method != 8) {
      throw refusal(shown + " has compression method " + method + "; expected stored or deflated");
    }
    long[] sizes = {
      directory.getInt(at + 24) & U32,
      directory.getInt(at + 20) & U32,
      directory.getInt(at + 42) & U32
    };
    readZip64(
        directory.slice(at + 46 + nameLength, extraLength).order(ByteOrder.LITTLE_ENDIAN),
        sizes,
        shown);
    Entry entry = locate(name, shown, method == 8, sizes, directoryOffset);
    if (entries.put(name, entry) != null) {
      throw refusal(shown + " occurs twice");
    }
    directory.position(at + 46 + nameLength + extraLength + commentLength);
  }

  /**
   * Replaces those of size, compressed size and header offset that did not fit into 32 bits, in
   * this order.
   */
  private void readZip64(ByteBuffer extra, long[] sizes, String shown) {
    while (extra.remaining() >= 4) {
      int id = extra.getShort() & 0xffff;
      int length = extra.getShort() & 0xffff;
      if (length > extra.remaining()) {
        return; // padding, not a list of fields
      }
      ByteBuffer field = extra.slice(extra.position(), length).order(ByteOrder.LITTLE_ENDIAN);
      extra.position(extra.position() + length);
      for (int i = 0; id == 1 && i < sizes.length; i++) {
        if (sizes[i] == U32) {
          if (field.remaining() < 8) {
            throw refusal(shown + " has a damaged zip64 field");
          }
          sizes[i] = field.getLong();
        }
      }
    }
  }

  private Entry locate(
      String name, String shown, boolean deflated, long[] sizes, long directoryOffset) {
    long size = sizes[0];
    long compressed = sizes[1];
    long header = sizes[2];
    if (size < 0
        || compressed < 0
        || header < 0
        || header > directoryOffset - 30
        || !deflated && size != compressed) {
      throw refusal(shown + " has impossible sizes");
    }
    ByteBuffer local = file.slice(header, 30);
    if (local.getInt(0) != LOCAL) {
      throw refusal(shown + " is not where the directory says");
    }
    long data = header + 30 + (local.getShort(26) & 0xffff) + (local.getShort(28) & 0xffff);
    if (data > directoryOffset || compressed > directoryOffset - data) {
      throw refusal(shown + " claims " + compressed + " bytes, which the file does not have");
    }
    return new Entry(name, deflated, data, compressed, size);
  }

  private ByteBuffer inflate(Entry entry) {
    String shown = "entry '" + Names.printable(entry.name()) + "'";
    if (entry.size() > MAX_INFLATED || entry.size() / 1100 > entry.compressedSize()) {
      throw refusal(
          shown
              + " is compressed and claims "
              + entry.size()
              + " bytes; save it again with torch.save, "
              + "which does not compress");
    }
    Inflater inflater = new Inflater(true);
    try {
      inflater.setInput(file.slice(entry.offset(), entry.compressedSize()));
      byte[] out = new byte[(int) entry.size()];
      int n = 0;
      while (n < out.length) {
        int got = inflater.inflate(out, n, out.length - n);
        if (got == 0) {
          throw refusal(shown + " holds less than the " + entry.size() + " bytes it claims");
        }
        n += got;
      }
      if (inflater.inflate(new byte[1]) != 0) {
        throw refusal(shown + " holds more than the " + entry.size() + " bytes it claims");
      }
      return ByteBuffer.wrap(out).asReadOnlyBuffer().order(ByteOrder.LITTLE_ENDIAN);
    } catch (DataFormatException damaged) {
      throw refusal(shown + " is damaged: " + damaged.getMessage());
    } finally {
      inflater.end();
    }
  }

  private LongAlignException refusal(String reason) {
    return new LongAlignException(
        file.source() + ": not a readable torch file: the zip archive is refused: " + reason);
  }
}
