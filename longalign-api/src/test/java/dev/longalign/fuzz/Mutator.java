package dev.longalign.fuzz;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.zip.CRC32;

/** Damages bytes: a few random changes of the kinds that readers fall over. */
final class Mutator {
  private static final long[] NUMBERS = {
    0,
    1,
    -1,
    2,
    127,
    128,
    255,
    256,
    65535,
    65536,
    Integer.MAX_VALUE,
    Integer.MIN_VALUE,
    0xffffffffL,
    1L << 40,
    Long.MAX_VALUE,
    Long.MIN_VALUE
  };
  private static final List<String> WORDS =
      List.of(
          "-1",
          "0",
          "1e999999999",
          "99999999999999999999",
          "NaN",
          "null",
          "true",
          "[]",
          "{}",
          "[[[[[[[[",
          "{\"a\":{\"a\":",
          "\"\\u0000\"",
          "\\ud800",
          "../../x",
          "/",
          "\0",
          "&a [*a]",
          "!!java.io.File x",
          "\u001b[2J",
          "\ufeff",
          "a".repeat(300),
          "e",
          ".",
          "\"",
          ",",
          ":");

  private final Random random;

  Mutator(Random random) {
    this.random = random;
  }

  /** A damaged copy of one of the seeds, now and then spliced with another. */
  byte[] mutate(List<byte[]> seeds) {
    byte[] bytes = seeds.get(random.nextInt(seeds.size())).clone();
    for (int changes = 1 + random.nextInt(random.nextInt(10) == 0 ? 30 : 4);
        changes > 0;
        changes--) {
      bytes = change(bytes, seeds);
    }
    return bytes.length > 8 && bytes[1] == 'P' && bytes[2] == 'N' && random.nextInt(4) > 0
        ? withChecksums(bytes)
        : bytes;
  }

  private byte[] change(byte[] bytes, List<byte[]> seeds) {
    if (bytes.length == 0) {
      return new byte[] {(byte) random.nextInt(256)};
    }
    // Most formats keep what matters in front.
    int at = random.nextInt(random.nextBoolean() ? bytes.length : Math.min(bytes.length, 512));
    switch (random.nextInt(9)) {
      case 0 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
      case 1 -> bytes[at] = (byte) random.nextInt(256);
      case 2 -> putNumber(bytes, at);
      case 3 -> {
        return insert(bytes, at, WORDS.get(random.nextInt(WORDS.size())));
      }
      case 4 -> {
        return replaceNumber(bytes, at);
      }
      case 5 -> {
        return Arrays.copyOf(bytes, at);
      }
      case 6 -> {
        return spliced(bytes, at, bytes, random.nextInt(bytes.length), random.nextInt(64));
      }
      case 7 -> {
        byte[] other = seeds.get(random.nextInt(seeds.size()));
        return spliced(bytes, at, other, random.nextInt(other.length + 1), random.nextInt(4096));
      }
      default -> {
        int end = Math.min(bytes.length, at + 1 + random.nextInt(16));
        byte[] shorter = new byte[bytes.length - (end - at)];
        System.arraycopy(bytes, 0, shorter, 0, at);
        System.arraycopy(bytes, end, shorter, at, bytes.length - end);
        return shorter;
      }
    }
    return bytes;
  }

  private void putNumber(byte[] bytes, int at) {
    int width = 1 << random.nextInt(4);
    if (at + width > bytes.length) {
      return;
    }
    long number = NUMBERS[random.nextInt(NUMBERS.length)];
    ByteBuffer eight =
        ByteBuffer.allocate(8)
            .order(random.nextBoolean() ? ByteOrder.LITTLE_ENDIAN : ByteOrder.BIG_ENDIAN);
    eight.putLong(number);
    int from = eight.order() == ByteOrder.BIG_ENDIAN ? 8 - width : 0;
    System.arraycopy(eight.array(), from, bytes, at, width);
  }

  /** Another number or word in the place of the decimal number that begins nearest after here. */
  private byte[] replaceNumber(byte[] bytes, int at) {
    int start = at;
    while (start < bytes.length && (bytes[start] < '0' || bytes[start] > '9')) {
      start++;
    }
    int end = start;
    while (end < bytes.length && bytes[end] >= '0' && bytes[end] <= '9') {
      end++;
    }
    if (start == end) {
      return bytes;
    }
    String other =
        random.nextBoolean()
            ? Long.toString(NUMBERS[random.nextInt(NUMBERS.length)])
            : WORDS.get(random.nextInt(WORDS.size()));
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.write(bytes, 0, start);
    out.writeBytes(other.getBytes(StandardCharsets.UTF_8));
    out.write(bytes, end, bytes.length - end);
    return out.toByteArray();
  }

  private static byte[] insert(byte[] bytes, int at, String word) {
    byte[] inserted = word.getBytes(StandardCharsets.UTF_8);
    return spliced(bytes, at, inserted, 0, inserted.length);
  }

  private static byte[] spliced(byte[] bytes, int at, byte[] from, int start, int length) {
    int copied = Math.max(0, Math.min(length, from.length - start));
    byte[] longer = new byte[bytes.length + copied];
    System.arraycopy(bytes, 0, longer, 0, at);
    System.arraycopy(from, start, longer, at, copied);
    System.arraycopy(bytes, at, longer, at + copied, bytes.length - at);
    return longer;
  }

  /** PNG readers look no further than a wrong checksum; what is behind it is to be tried. */
  private static byte[] withChecksums(byte[] png) {
    ByteBuffer buffer = ByteBuffer.wrap(png);
    for (int at = 8; at + 12 <= png.length; ) {
      long length = buffer.getInt(at) & 0xffffffffL;
      if (length > png.length - at - 12L) {
        break;
      }
      CRC32 crc = new CRC32();
      crc.update(png, at + 4, (int) length + 4);
      buffer.putInt(at + 8 + (int) length, (int) crc.getValue());
      at += 12 + (int) length;
    }
    return png;
  }
}
