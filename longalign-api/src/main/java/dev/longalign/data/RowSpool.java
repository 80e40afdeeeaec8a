package dev.longalign.data;

import dev.longalign.LongAlignException;
import dev.longalign.io.Reasons;
import java.io.BufferedOutputStream;
import java.io.DataOutputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * Captions and paths of many rows in a temporary file, to be read in any order: millions of them
 * take eight bytes each of memory. Written first, then read; reading is thread-safe.
 */
final class RowSpool implements AutoCloseable {
  private static final int NULL = -1;

  private final Path path;
  private final RandomAccessFile reading;
  private DataOutputStream writing;
  private long[] offsets = new long[1024];
  private int count;
  private long end;

  /** One row; null where the file has null. */
  record Row(String caption, String path) {}

  private RowSpool(Path path) throws IOException {
    this.path = path;
    this.writing =
        new DataOutputStream(
            new BufferedOutputStream(new FileOutputStream(path.toFile()), 1 << 16));
    this.reading = new RandomAccessFile(path.toFile(), "r");
  }

  static RowSpool create() {
    try {
      Path file = Files.createTempFile("longalign-rows-", ".bin");
      file.toFile().deleteOnExit();
      RowSpool spool = new RowSpool(file);
      // Open files need no name, where the system allows that: a killed process leaves nothing.
      file.toFile().delete();
      return spool;
    } catch (IOException failure) {
      throw new LongAlignException(
          "no temporary file can be written: " + Reasons.of(failure) + "; set -Djava.io.tmpdir",
          failure);
    }
  }

  void add(Row row) {
    write(true, row.caption(), row.path());
  }

  /** A row that cannot be read. */
  void addDamaged(String reason) {
    write(false, reason, null);
  }

  private void write(boolean good, String first, String second) {
    if (count == offsets.length) {
      offsets = Arrays.copyOf(offsets, 2 * count);
    }
    offsets[count++] = end;
    try {
      writing.writeBoolean(good);
      end++;
      put(first);
      put(second);
    } catch (IOException failure) {
      throw new LongAlignException(
          path
              + " cannot be written: "
              + Reasons.of(failure)
              + "; captions need a temporary file of their size: set -Djava.io.tmpdir",
          failure);
    }
  }

  /** The length in bytes, or a mark for null, and the text. */
  private void put(String text) throws IOException {
    byte[] bytes = text == null ? new byte[0] : text.getBytes(StandardCharsets.UTF_8);
    writing.writeInt(text == null ? NULL : bytes.length);
    writing.write(bytes);
    end += 4 + bytes.length;
  }

  Row row(long index) {
    try {
      synchronized (reading) {
        if (writing != null) {
          writing.close();
          writing = null;
        }
        reading.seek(offsets[Math.toIntExact(index)]);
        boolean good = reading.readBoolean();
        String first = text();
        if (!good) {
          throw new LongAlignException(first);
        }
        return new Row(first, text());
      }
    } catch (IOException failure) {
      throw new UncheckedIOException(path + " cannot be read: " + Reasons.of(failure), failure);
    }
  }

  private String text() throws IOException {
    int length = reading.readInt();
    if (length == NULL) {
      return null;
    }
    byte[] bytes = new byte[length];
    reading.readFully(bytes);
    return new String(bytes, StandardCharsets.UTF_8);
  }

  @Override
  public void close() {
    try {
      if (writing != null) {
        writing.close();
      }
    } catch (IOException full) {
      // The file goes away below.
    }
    try {
      reading.close();
      Files.deleteIfExists(path);
    } catch (IOException busy) {
      // Deleted when the virtual machine ends.
    }
  }
}
