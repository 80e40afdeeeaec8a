package dev.longalign.io;

import dev.longalign.LongAlignException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * The bytes of a pickle; every length is checked against what is left before anything is allocated.
 */
final class PickleInput {
  private static final int MAX_LINE = 4096;

  private final String source;
  private final ByteBuffer bytes;

  PickleInput(String source, ByteBuffer bytes) {
    this.source = source;
    this.bytes = bytes.slice().order(ByteOrder.LITTLE_ENDIAN);
  }

  int position() {
    return bytes.position();
  }

  int u8() {
    return need(1).get() & 0xff;
  }

  int u16() {
    return need(2).getShort() & 0xffff;
  }

  int i32() {
    return need(4).getInt();
  }

  long u32() {
    return Integer.toUnsignedLong(i32());
  }

  long i64() {
    return need(8).getLong();
  }

  double bigEndianDouble() {
    return Double.longBitsToDouble(Long.reverseBytes(i64()));
  }

  /**
   * UTF-8 text of a length that the stream has declared; lengths above 2^63 arrive as negative
   * numbers.
   */
  String text(long length) {
    return Json.utf8(ByteBuffer.wrap(bytes(length)), source + ": pickle byte " + position());
  }

  byte[] bytes(long length) {
    if (length < 0 || length > bytes.remaining()) {
      throw refusal(
          "a text of "
              + Long.toUnsignedString(length)
              + " bytes where "
              + bytes.remaining()
              + " are left");
    }
    byte[] out = new byte[(int) length];
    bytes.get(out);
    return out;
  }

  /** ASCII up to the next line feed, which is consumed. */
  String line() {
    StringBuilder line = new StringBuilder();
    for (int c = u8(); c != '\n'; c = u8()) {
      if (line.length() == MAX_LINE) {
        throw refusal("a line of more than " + MAX_LINE + " bytes");
      }
      line.append((char) c);
    }
    return new String(
        line.toString().getBytes(StandardCharsets.ISO_8859_1), StandardCharsets.UTF_8);
  }

  LongAlignException refusal(String reason) {
    return new LongAlignException(
        source + ": refused at byte " + position() + " of its pickle: " + reason);
  }

  private ByteBuffer need(int n) {
    if (bytes.remaining() < n) {
      throw refusal("the stream ends early (an incomplete download?)");
    }
    return bytes;
  }
}
