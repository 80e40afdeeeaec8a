package dev.longalign.io;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Tags and values of a TIFF file or of EXIF, which is one. */
final class TiffDirectory {
  private static final int ENTRY = 12;
  private static final int SHORT = 3;
  private static final int LONG = 4;

  private final ByteBuffer tiff;
  private final int at;
  private final int entries;

  private TiffDirectory(ByteBuffer tiff, long at) {
    this.tiff = tiff;
    boolean inside = at >= 0 && at <= tiff.limit() - 2;
    this.at = inside ? (int) at + 2 : 0;
    this.entries =
        inside ? Math.min(tiff.getShort((int) at) & 0xFFFF, (tiff.limit() - this.at) / ENTRY) : 0;
  }

  /** The first directory; empty if this is no TIFF. */
  static TiffDirectory first(ByteBuffer file) {
    ByteBuffer tiff = file.slice();
    int order = tiff.limit() < 8 ? 0 : tiff.getShort(0);
    if (order != 0x4949 && order != 0x4D4D) {
      return new TiffDirectory(tiff, -1);
    }
    tiff.order(order == 0x4949 ? ByteOrder.LITTLE_ENDIAN : ByteOrder.BIG_ENDIAN);
    return new TiffDirectory(tiff, tiff.getInt(4) & 0xFFFFFFFFL);
  }

  /** The directory that a tag points to; empty if there is none. */
  TiffDirectory at(int tag) {
    return new TiffDirectory(tiff, value(tag, -1));
  }

  ByteOrder order() {
    return tiff.order();
  }

  /** The first of a tag's whole numbers. */
  long value(int tag, long absent) {
    int entry = find(tag);
    if (entry < 0) {
      return absent;
    }
    int type = tiff.getShort(entry + 2);
    if (type != SHORT && type != LONG) {
      return absent;
    }
    boolean inline = (tiff.getInt(entry + 4) & 0xFFFFFFFFL) * (type == SHORT ? 2 : 4) <= 4;
    long place = inline ? entry + 8 : tiff.getInt(entry + 8) & 0xFFFFFFFFL;
    if (place > tiff.limit() - 4) {
      return absent;
    }
    return type == SHORT
        ? tiff.getShort((int) place) & 0xFFFF
        : tiff.getInt((int) place) & 0xFFFFFFFFL;
  }

  /**
   * The bytes of a tag (of bytes or 16-bit numbers); empty if it is not there or lies outside of
   * the file.
   */
  ByteBuffer bytes(int tag) {
    int entry = find(tag);
    long count = entry < 0 ? 0 : tiff.getInt(entry + 4) & 0xFFFFFFFFL;
    long length = entry >= 0 && tiff.getShort(entry + 2) == SHORT ? 2 * count : count;
    long place = entry < 0 ? 0 : tiff.getInt(entry + 8) & 0xFFFFFFFFL;
    return length <= 4 || place + length > tiff.limit()
        ? ByteBuffer.allocate(0)
        : tiff.slice((int) place, (int) length).order(tiff.order());
  }

  private int find(int tag) {
    for (int i = 0; i < entries; i++) {
      int entry = at + ENTRY * i;
      if ((tiff.getShort(entry) & 0xFFFF) == tag) {
        return entry;
      }
    }
    return -1;
  }
}
