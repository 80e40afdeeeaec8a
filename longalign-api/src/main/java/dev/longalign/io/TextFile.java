package dev.longalign.io;

import dev.longalign.LongAlignException;
import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.FileInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CoderResult;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * Text that people wrote: prompts, captions, configurations. It is UTF-8; a byte order mark is
 * dropped, and line ends become {@code \n}, whichever system wrote them. UTF-16 and bytes that are
 * not UTF-8 are refused with the line, since a guess would silently change the text.
 */
public final class TextFile {
  private static final int MAX_BYTES = 64 << 20;

  private TextFile() {}

  /**
   * A whole file (or pipe).
   *
   * @throws LongAlignException if it cannot be read, is longer than 64 MiB or is not UTF-8
   */
  public static String read(Path file) {
    return read(file, file.toString());
  }

  /**
   * The lines of a file without their ends; one that ends with a line end has no empty last one.
   */
  public static List<String> lines(Path file) {
    return read(file).lines().toList();
  }

  /** Hears the lines of a long file one by one, which need not fit into memory together. */
  @FunctionalInterface
  public interface LineConsumer {
    /**
     * @param number from 1
     * @param line without its end
     */
    void accept(int number, String line);
  }

  /**
   * A file of any length, line by line; each may be as long as a whole text elsewhere.
   *
   * @throws LongAlignException as {@link #read(Path)}
   */
  public static void forEachLine(Path file, LineConsumer consumer) {
    open(
        file,
        file.toString(),
        stream -> {
          BufferedInputStream in = new BufferedInputStream(stream, 1 << 16);
          ByteArrayOutputStream bytes = new ByteArrayOutputStream();
          for (int number = 1, next = 0; next >= 0; number++) {
            bytes.reset();
            for (next = in.read(); next >= 0 && next != '\n'; next = in.read()) {
              bytes.write(next);
              if (bytes.size() > MAX_BYTES) {
                throw tooLong(file + " line " + number);
              }
            }
            if (next >= 0 || bytes.size() > 0) {
              String line = decode(ByteBuffer.wrap(bytes.toByteArray()), file.toString(), number);
              consumer.accept(number, line.stripTrailing());
            }
          }
          return null;
        });
  }

  /** Everything up to the end of a stream, which is not closed. */
  public static String read(InputStream in, String source) {
    try {
      return decode(ByteBuffer.wrap(in.readNBytes(MAX_BYTES + 1)), source);
    } catch (IOException unreadable) {
      throw new LongAlignException(
          source + " cannot be read: " + Reasons.of(unreadable), unreadable);
    }
  }

  /** A text in memory, such as a member of an archive. */
  public static String decode(ByteBuffer bytes, String source) {
    return decode(bytes, source, 1);
  }

  private static String decode(ByteBuffer bytes, String source, int firstLine) {
    ByteBuffer text = bytes.slice();
    if (text.limit() > MAX_BYTES) {
      throw tooLong(source);
    }
    int start = 0;
    for (int i = 0; i < Math.min(3, text.limit()); i++) {
      start = start << 8 | text.get(i) & 255;
    }
    if (start >>> 8 == 0xFFFE || start >>> 8 == 0xFEFF) {
      throw new LongAlignException(source + " is UTF-16; save it as UTF-8");
    }
    text.position(start == 0xEFBBBF ? 3 : 0);
    CharBuffer chars = CharBuffer.allocate(text.remaining());
    CharsetDecoder decoder = StandardCharsets.UTF_8.newDecoder();
    CoderResult result = decoder.decode(text, chars, true);
    if (result.isError()) {
      throw refusal(text, source, firstLine, "is not valid UTF-8");
    }
    String decoded = chars.flip().toString();
    int nul = decoded.indexOf('\0');
    if (nul >= 0) {
      text.position(decoded.substring(0, nul).getBytes(StandardCharsets.UTF_8).length);
      throw refusal(
          text, source, firstLine, "has a NUL character (no text, or UTF-16 without a mark)");
    }
    return decoded.indexOf('\r') < 0 ? decoded : decoded.replace("\r\n", "\n").replace('\r', '\n');
  }

  static String read(Path file, String source) {
    return open(file, source, in -> read(in, source));
  }

  private interface Reading<T> {
    T of(InputStream in) throws IOException;
  }

  private static <T> T open(Path file, String source, Reading<T> reading) {
    // Not a channel: an interrupt would close it, and FIFOs need no size.
    try (InputStream in = new FileInputStream(file.toFile())) {
      return reading.of(in);
    } catch (FileNotFoundException absent) {
      String found =
          Files.isDirectory(file)
              ? "a directory"
              : Files.exists(file) ? "no permission to read it" : "no such file";
      throw new LongAlignException(source + ": expected a text file, found " + found, absent);
    } catch (IOException unreadable) {
      throw new LongAlignException(
          source + " cannot be read: " + Reasons.of(unreadable), unreadable);
    }
  }

  private static LongAlignException tooLong(String source) {
    return new LongAlignException(
        source + ": expected a text of at most " + MAX_BYTES + " bytes, found more");
  }

  private static LongAlignException refusal(
      ByteBuffer at, String source, int firstLine, String what) {
    int line = firstLine;
    for (int i = 0; i < at.position(); i++) {
      line += at.get(i) == '\n' || at.get(i) == '\r' && at.get(i + 1) != '\n' ? 1 : 0;
    }
    return new LongAlignException(source + ": line " + line + " " + what + "; save it as UTF-8");
  }
}
