package dev.longalign.io;

import dev.longalign.io.PictureParts.Trait;
import java.awt.image.IndexColorModel;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Map;

/** Headers of GIF, BMP and TIFF, which are decoded from the whole file. */
final class OtherParts {
  private OtherParts() {}

  /** The first frame, on the screen that all frames share. */
  static PictureParts gif(String source, ByteBuffer file) {
    ByteBuffer gif = file.slice().order(ByteOrder.LITTLE_ENDIAN);
    int flags = gif.get(10);
    int palette = 13;
    int at = palette + colors(flags);
    int background = colors(flags) == 0 ? 0 : rgb(gif, palette);
    while (gif.get(at) == 0x21) { // extensions
      if ((gif.get(at + 1) & 255) == 0xF9 && (gif.get(at + 3) & 1) == 1) {
        background = 0xFFFFFF; // transparent
      }
      at += 2;
      while (gif.get(at) != 0) {
        at += 1 + (gif.get(at) & 255);
      }
      at++;
    }
    if (gif.get(at) != 0x2C) {
      throw PictureParts.refusal(source, "a GIF without a picture");
    }
    int left = gif.getShort(at + 1) & 0xFFFF;
    int top = gif.getShort(at + 3) & 0xFFFF;
    return new PictureParts(
        "gif",
        Math.max(gif.getShort(6) & 0xFFFF, left + (gif.getShort(at + 5) & 0xFFFF)),
        Math.max(gif.getShort(8) & 0xFFFF, top + (gif.getShort(at + 7) & 0xFFFF)),
        Exif.NONE,
        Map.of(),
        List.of(file.slice()),
        Map.of(Trait.LEFT, left, Trait.TOP, top, Trait.BACKGROUND, background));
  }

  private static int colors(int flags) {
    return (flags & 0x80) == 0 ? 0 : 3 << (flags & 7) + 1;
  }

  private static int rgb(ByteBuffer bytes, int at) {
    return (bytes.get(at) & 255) << 16 | (bytes.get(at + 1) & 255) << 8 | bytes.get(at + 2) & 255;
  }

  static PictureParts bmp(String source, ByteBuffer file) {
    ByteBuffer bmp = file.slice().order(ByteOrder.LITTLE_ENDIAN);
    boolean old = bmp.getInt(14) == 12;
    int width = old ? bmp.getShort(18) & 0xFFFF : bmp.getInt(18);
    int height = old ? bmp.getShort(20) & 0xFFFF : Math.abs(bmp.getInt(22));
    int compression = old ? 0 : bmp.getInt(30);
    if (compression < 0 || compression > 3) {
      throw PictureParts.refusal(source, "a BMP with compression " + compression);
    }
    int bits = old ? bmp.getShort(24) : bmp.getShort(28);
    long packed = compression == 1 || compression == 2 ? bmp.getInt(34) & 0xFFFFFFFFL : 0;
    long plain = compression == 0 || compression == 3 ? (long) width * height * bits / 8 : 0;
    if (Math.max(packed, plain) > file.limit()) {
      throw new IndexOutOfBoundsException(width + " x " + height + " pixels of " + bits + " bits");
    }
    return new PictureParts(
        "bmp", width, height, Exif.NONE, Map.of(), List.of(file.slice()), Map.of());
  }

  static PictureParts tiff(String source, ByteBuffer file) {
    Exif exif = Exif.read(file);
    TiffDirectory ifd = TiffDirectory.first(file);
    int photometric = (int) ifd.value(0x106, -1);
    int bits = (int) ifd.value(0x102, 1);
    String kind =
        switch (photometric) {
          case 0, 1, 2, 3, 5 -> "";
          case 6 -> "YCbCr";
          case 8, 9, 10 -> "CIE L*a*b*";
          default -> "photometric interpretation " + photometric;
        };
    if (!kind.isEmpty()) {
      throw PictureParts.refusal(source, "a TIFF in " + kind + ", which is not supported");
    } else if (ifd.value(0x153, 1) != 1 || bits > 16) {
      throw PictureParts.refusal(
          source, "a TIFF of " + bits + " bits, signed or floating point, which is not supported");
    }
    long tile = ifd.value(0x142, 1) * ifd.value(0x143, 1);
    if (tile > 1 << 26) {
      throw PictureParts.refusal(source, "a TIFF with tiles of " + tile + " pixels");
    }
    return new PictureParts(
        "tiff",
        (int) Math.min(ifd.value(0x100, 0), Integer.MAX_VALUE),
        (int) Math.min(ifd.value(0x101, 0), Integer.MAX_VALUE),
        exif,
        PictureParts.texts(Map.of(), exif),
        List.of(file.slice()),
        Map.of(Trait.PHOTOMETRIC, photometric));
  }

  /** The high bytes of a TIFF's colour map, as Pillow takes them; ImageIO scales by 255/65535. */
  static IndexColorModel palette(ByteBuffer file, int bits) {
    ByteBuffer map = TiffDirectory.first(file).bytes(0x140);
    int size = map.limit() / 6;
    byte[][] colors = new byte[3][size];
    for (int i = 0; i < 3 * size; i++) {
      int high = map.order() == ByteOrder.BIG_ENDIAN ? 2 * i : 2 * i + 1;
      colors[i / size][i % size] = map.get(high);
    }
    return new IndexColorModel(bits, size, colors[0], colors[1], colors[2]);
  }
}
