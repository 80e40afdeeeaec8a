package dev.longalign.io;

import dev.longalign.LongAlignException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Locale;

/**
 * A file read piece by piece, which must stay what it was when it was opened: every piece is what
 * the file held then, or an error. Nothing is mapped into memory: where a mapped file is cut short,
 * by a download or {@code cp} over it, whoever reads on gets no error but SIGBUS, which ends the
 * process in native code and comes late and anywhere in Java. No channel is kept open: an
 * interrupted thread would close it under the others.
 */
final class InputFile {
  /** Read at once: what Java copies through a buffer of its own has this size. */
  private static final int PIECE = 1 << 20;

  private final FileStamp stamp;

  private InputFile(FileStamp stamp) {
    this.stamp = stamp;
  }

  static InputFile open(Path path) {
    if (Files.isDirectory(path)) {
      throw new LongAlignException(path + " is a directory, expected a file");
    }
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
      channel.size(); // may be read
      return new InputFile(FileStamp.of(path));
    } catch (NoSuchFileException missing) {
      throw new LongAlignException(path + ": no such file", missing);
    } catch (IOException failure) {
      throw unreadable(path.toString(), failure);
    }
  }

  Path path() {
    return stamp.file();
  }

  String source() {
    return Names.of(path());
  }

  long size() {
    return stamp.size();
  }

  /**
   * Read-only, little-endian.
   *
   * @throws LongAlignException if the range is not in the file, or the file has changed
   */
  ByteBuffer slice(long offset, long length) {
    if (offset < 0 || length < 0 || offset > size() - length) {
      throw new LongAlignException(
          source()
              + ": "
              + length
              + " bytes at "
              + offset
              + " are outside of the file ("
              + size()
              + " bytes)");
    }
    if (length > Integer.MAX_VALUE - 8) {
      throw new LongAlignException(
          source() + ": " + length + " bytes in one piece; at most 2 GiB can be read");
    }
    ByteBuffer bytes = allocate((int) length);
    try (FileChannel channel = FileChannel.open(path(), StandardOpenOption.READ)) {
      while (bytes.hasRemaining()) {
        bytes.limit(Math.min(bytes.capacity(), bytes.position() + PIECE));
        if (channel.read(bytes, offset + bytes.position()) < 0) {
          break; // cut short: the stamp says so
        }
        bytes.limit(bytes.capacity());
      }
    } catch (IOException failure) {
      throw unreadable(source(), failure);
    }
    stamp.check();
    return bytes.flip().asReadOnlyBuffer().order(ByteOrder.LITTLE_ENDIAN);
  }

  private ByteBuffer allocate(int length) {
    try {
      return ByteBuffer.allocate(length);
    } catch (OutOfMemoryError e) {
      throw new LongAlignException(
          source() + ": " + length + " bytes do not fit into Java's heap; give it more (-Xmx)", e);
    }
  }

  private static LongAlignException unreadable(String source, IOException failure) {
    String reason =
        failure instanceof ClosedByInterruptException
            ? "the thread that read it was interrupted"
            : "cannot be read: " + failure.getMessage();
    return new LongAlignException(source + ": " + reason, failure);
  }

  /**
   * What a file is that should have held weights but begins otherwise; empty if it is nothing well
   * known.
   */
  String hint() {
    ByteBuffer start = slice(0, Math.min(size(), 64));
    byte[] bytes = new byte[start.remaining()];
    start.get(bytes);
    String text = new String(bytes, StandardCharsets.ISO_8859_1).stripLeading();
    String lower = text.toLowerCase(Locale.ROOT);
    if (text.startsWith("version https://git-lfs")) {
      return " (a Git LFS pointer, not the weights themselves: run 'git lfs pull')";
    } else if (lower.startsWith("<!doctype") || lower.startsWith("<html")) {
      return " (a web page, not weights: download the file again)";
    } else if (text.startsWith("PK\3\4")) {
      return " (a zip archive: a torch file should be named .pt or .bin)";
    } else if (text.startsWith("{") || text.startsWith("[")) {
      return " (a JSON text, not weights)";
    }
    return "";
  }
}
