package dev.longalign.io;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What is read of EXIF (a TIFF structure inside a picture file): how the camera was held, and the
 * comment in which web UIs keep a picture's settings. Whatever is damaged counts as absent, since
 * the picture is whole without it.
 *
 * @param orientation 1 (upright) to 8, as TIFF numbers them; 0 if it is not told
 * @param comment of the user, or null
 */
record Exif(int orientation, String comment) {
  static final Exif NONE = new Exif(0, null);

  private static final int ORIENTATION = 0x112;
  private static final int EXIF_DIRECTORY = 0x8769;
  private static final int USER_COMMENT = 0x9286;
  private static final int PREFIX = 8;
  private static final byte[] INTRODUCTION = "Exif\0\0".getBytes(StandardCharsets.US_ASCII);
  private static final Pattern XMP_ORIENTATION =
      Pattern.compile("tiff:Orientation(?:=\"|>)([1-8])");

  /** With or without the introduction that JPEG has before the TIFF structure. */
  static Exif read(ByteBuffer bytes) {
    ByteBuffer tiff = bytes.slice();
    int start = INTRODUCTION.length;
    if (tiff.remaining() > start && tiff.slice(0, start).equals(ByteBuffer.wrap(INTRODUCTION))) {
      tiff = tiff.slice(start, tiff.remaining() - start);
    }
    TiffDirectory root = TiffDirectory.first(tiff);
    long orientation = root.value(ORIENTATION, 0);
    return new Exif(orientation <= 8 ? (int) orientation : 0, comment(root.at(EXIF_DIRECTORY)));
  }

  /** With the orientation that XMP has, if there is none here. */
  Exif orElse(String xmp) {
    Matcher found = XMP_ORIENTATION.matcher(xmp);
    return orientation == 0 && found.find()
        ? new Exif(Integer.parseInt(found.group(1)), comment)
        : this;
  }

  private static String comment(TiffDirectory exif) {
    ByteBuffer bytes = exif.bytes(USER_COMMENT);
    if (bytes.limit() <= PREFIX) {
      return null;
    }
    ByteBuffer text = bytes.slice(PREFIX, bytes.limit() - PREFIX);
    String code = PictureParts.latin1(bytes, 0, PREFIX);
    String decoded =
        switch (code.replace("\0", "").strip()) {
          case "UNICODE" -> utf16(text, exif.order());
          case "JIS" -> Charset.forName("ISO-2022-JP").decode(text).toString();
          case "ASCII", "" -> utf8(text);
          default -> utf8(bytes); // no code at all
        };
    return decoded.replaceAll("[\\s\0]+$", "");
  }

  /** Its byte order is nowhere told: the one in which more letters are Latin. */
  private static String utf16(ByteBuffer text, ByteOrder fallback) {
    int big = 0;
    int little = 0;
    for (int i = 0; i + 1 < text.limit(); i += 2) {
      big += text.get(i) == 0 ? 1 : 0;
      little += text.get(i + 1) == 0 ? 1 : 0;
    }
    boolean isLittle = big == little ? fallback == ByteOrder.LITTLE_ENDIAN : little > big;
    Charset charset = isLittle ? StandardCharsets.UTF_16LE : StandardCharsets.UTF_16BE;
    String decoded = charset.decode(text).toString();
    return decoded.startsWith("\uFEFF") ? decoded.substring(1) : decoded;
  }

  private static String utf8(ByteBuffer text) {
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(text.duplicate()).toString();
    } catch (CharacterCodingException older) {
      return StandardCharsets.ISO_8859_1.decode(text).toString();
    }
  }
}
