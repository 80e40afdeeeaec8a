package dev.longalign.cli;

import dev.longalign.LongAlignException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * The arguments as they were written. Where no locale is set (bare containers, cron) Java reads
 * them as ASCII and every other byte is lost; Linux still knows them.
 */
final class Arguments {
  private static final Path COMMAND_LINE = Path.of("/proc/self/cmdline");
  private static final char LOST = '\uFFFD';

  private Arguments() {}

  /**
   * @throws LongAlignException if a character was lost and cannot be restored
   */
  static String[] restored(String[] args) {
    String encoding = System.getProperty("sun.jnu.encoding", "");
    if (isAscii(encoding)) {
      try {
        return restored(args, Files.readAllBytes(COMMAND_LINE), encoding);
      } catch (IOException notLinux) {
        return restored(args, new byte[0], encoding);
      }
    }
    return restored(args, new byte[0], encoding);
  }

  private static boolean isAscii(String encoding) {
    return encoding.toUpperCase(Locale.ROOT).matches("ANSI_X3\\.4-1968|US-ASCII|ASCII|(ISO)?646.*");
  }

  /**
   * @param commandLine of the process: all arguments of the JVM, each ended by a zero byte, ours
   *     last
   */
  static String[] restored(String[] args, byte[] commandLine, String encoding) {
    List<byte[]> raw = split(commandLine);
    String[] restored = args.clone();
    for (int i = 0; i < args.length; i++) {
      if (args[i].indexOf(LOST) < 0) {
        continue;
      }
      int at = raw.size() - args.length + i;
      String text = at < 0 ? null : utf8(raw.get(at), args[i]);
      if (text == null) {
        throw new LongAlignException(
            "argument "
                + (i + 1)
                + ": expected text in the encoding of this environment ("
                + encoding
                + "), found other characters; set LC_ALL=C.UTF-8, or give prompts in a file");
      }
      restored[i] = text;
    }
    return restored;
  }

  /** The text of which Java has lost all that is not ASCII; null if it is another one. */
  private static String utf8(byte[] bytes, String lossy) {
    if (bytes.length != lossy.length()) {
      return null;
    }
    for (int i = 0; i < bytes.length; i++) {
      if (lossy.charAt(i) != (bytes[i] < 0 ? LOST : bytes[i])) {
        return null;
      }
    }
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
    } catch (CharacterCodingException anotherEncoding) {
      return null;
    }
  }

  private static List<byte[]> split(byte[] commandLine) {
    List<byte[]> parts = new ArrayList<>();
    int from = 0;
    for (int i = 0; i < commandLine.length; i++) {
      if (commandLine[i] == 0) {
        parts.add(java.util.Arrays.copyOfRange(commandLine, from, i));
        from = i + 1;
      }
    }
    return parts;
  }
}
