package dev.longalign.io;

import dev.longalign.LongAlignException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Locale;

/**
 * A file read through memory maps: one map while it fits into a window, else one map per slice. No
 * channel is kept open (an interrupted thread would close it under the others); the maps go when
 * their buffers are collected.
 */
final class MappedFile {
  static final long WINDOW = 1L << 30;

  private final Path path;
  private final long size;
  private final ByteBuffer whole;

  private MappedFile(Path path, long size, ByteBuffer whole) {
    this.path = path;
    this.size = size;
    this.whole = whole;
  }

  static MappedFile open(Path path) {
    return open(path, WINDOW);
  }

  static MappedFile open(Path path, long window) {
    if (Files.isDirectory(path)) {
      throw new LongAlignException(path + " is a directory, expected a file");
    }
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
      long size = channel.size();
      return new MappedFile(path, size, size <= window ? map(channel, 0, size) : null);
    } catch (NoSuchFileException missing) {
      throw new LongAlignException(path + ": no such file", missing);
    } catch (IOException failure) {
      throw new LongAlignException(path + ": cannot be read: " + Reasons.of(failure), failure);
    }
  }

  Path path() {
    return path;
  }

  String source() {
    return Names.of(path);
  }

  long size() {
    return size;
  }

  /** Read-only, little-endian; the caller has checked the range against {@link #size()}. */
  ByteBuffer slice(long offset, long length) {
    if (offset < 0 || length < 0 || offset > size - length) {
      throw new LongAlignException(
          source()
              + ": "
              + length
              + " bytes at "
              + offset
              + " are outside of the file ("
              + size
              + " bytes)");
    }
    if (length > Integer.MAX_VALUE) {
      throw new LongAlignException(
          source() + ": " + length + " bytes in one piece; at most 2 GiB can be mapped");
    }
    if (whole != null) {
      return whole.slice((int) offset, (int) length).order(ByteOrder.LITTLE_ENDIAN);
    }
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
      if (channel.size() != size) {
        throw new LongAlignException(
            source()
                + " changed while it was open: it had "
                + size
                + " bytes, now "
                + channel.size());
      }
      return map(channel, offset, length);
    } catch (IOException failure) {
      throw new LongAlignException(source() + ": cannot be read: " + Reasons.of(failure), failure);
    }
  }

  /**
   * What a file is that should have held weights but begins otherwise; empty if it is nothing well
   * known.
   */
  String hint() {
    ByteBuffer start = slice(0, Math.min(size, 64));
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

  private static ByteBuffer map(FileChannel channel, long offset, long length) throws IOException {
    if (length == 0) {
      return ByteBuffer.allocate(0).asReadOnlyBuffer().order(ByteOrder.LITTLE_ENDIAN);
    }
    return channel.map(MapMode.READ_ONLY, offset, length).order(ByteOrder.LITTLE_ENDIAN);
  }
}
