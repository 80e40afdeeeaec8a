package dev.longalign.io;

import dev.longalign.LongAlignException;
import dev.longalign.io.PictureParts.Trait;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** The segments of a JPEG up to the end of its first picture. */
final class JpegParts {
  private static final String XMP = "http://ns.adobe.com/xap/1.0/\0";

  /** Each scan of a progressive picture goes over all of it. */
  private static final long MAX_SCANNED_PIXELS = 1L << 31;

  private JpegParts() {}

  static PictureParts of(String source, ByteBuffer file) {
    List<ByteBuffer> core = new ArrayList<>(List.of(file.slice(0, 2)));
    Exif exif = Exif.NONE;
    String xmp = "";
    ByteBuffer frame = null;
    boolean jfif = false;
    int transform = -1;
    int scans = 0;
    int at = 2;
    while (true) {
      int start = at;
      while ((file.get(at) & 255) != 0xFF) {
        at++; // libjpeg skips what is no marker, too
      }
      while ((file.get(at) & 255) == 0xFF) {
        at++;
      }
      int marker = file.get(at++) & 255;
      if (marker == 0xD9) {
        core.add(file.slice(start, at - start));
        break;
      }
      int length = file.getShort(at) & 0xFFFF;
      ByteBuffer data = file.slice(at + 2, length - 2);
      at += length;
      boolean isMetadata = marker >= 0xE0 && marker <= 0xEF || marker == 0xFE;
      if (marker == 0xE0 && starts(data, "JFIF\0")) {
        jfif = true;
      } else if (marker == 0xE1 && starts(data, "Exif\0\0")) {
        exif = exif.equals(Exif.NONE) ? Exif.read(data) : exif;
      } else if (marker == 0xE1 && starts(data, XMP)) {
        xmp += PictureParts.latin1(data, XMP.length(), data.limit() - XMP.length());
      } else if (marker == 0xEE && starts(data, "Adobe") && data.limit() >= 12) {
        transform = data.get(11) & 255;
      } else if (marker >= 0xC0 && marker <= 0xCF && marker % 4 != 0 || marker == 0xC0) {
        frame = frame(source, marker, data);
      } else if (marker == 0xDA) {
        scans++;
        at = endOfScan(file, at);
      }
      if (!isMetadata) {
        core.add(file.slice(start, at - start));
      }
    }
    if (frame == null || scans == 0) {
      throw new LongAlignException(source + ": a JPEG without a picture");
    }
    int width = frame.getShort(3) & 0xFFFF;
    int height = frame.getShort(1) & 0xFFFF;
    if (scans * (long) width * height > MAX_SCANNED_PIXELS) {
      throw PictureParts.refusal(source, scans + " scans of " + width + " x " + height + " pixels");
    }
    exif = exif.orElse(xmp);
    boolean plain = isPlain(frame, jfif, transform);
    return new PictureParts(
        "jpeg",
        width,
        height,
        exif,
        PictureParts.texts(Map.of(), exif),
        core,
        Map.of(Trait.PLAIN_COLORS, plain ? 1 : 0));
  }

  private static boolean starts(ByteBuffer data, String text) {
    return data.limit() >= text.length()
        && PictureParts.latin1(data, 0, text.length()).equals(text);
  }

  private static ByteBuffer frame(String source, int marker, ByteBuffer frame) {
    int bits = frame.get(0);
    int components = frame.get(5);
    if (marker > 0xC2) {
      throw PictureParts.refusal(
          source, "a JPEG with lossless or arithmetic coding, which is not supported");
    } else if (bits != 8) {
      throw PictureParts.refusal(source, "a JPEG of " + bits + " bits; 8 are supported");
    } else if (components != 1 && components != 3 && components != 4) {
      throw PictureParts.refusal(source, "a JPEG of " + components + " components");
    }
    return frame;
  }

  /** Whether colours are not transformed, by libjpeg's rules. */
  private static boolean isPlain(ByteBuffer frame, boolean jfif, int transform) {
    int components = frame.get(5);
    if (components == 4) {
      return transform <= 0;
    } else if (components == 1 || jfif) {
      return false;
    } else if (transform >= 0) {
      return transform == 0;
    }
    return frame.get(6) == 'R' && frame.get(9) == 'G' && frame.get(12) == 'B';
  }

  /** Behind the coded data: the next marker that is neither a restart nor a stuffed byte. */
  private static int endOfScan(ByteBuffer file, int from) {
    for (int at = from; ; at++) {
      if (file.get(at) == (byte) 0xFF) {
        int next = file.get(at + 1) & 255;
        if (next != 0 && next != 0xFF && (next < 0xD0 || next > 0xD7)) {
          return at;
        }
      }
    }
  }
}
