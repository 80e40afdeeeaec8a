package dev.longalign.io;

import dev.longalign.LongAlignException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What a picture file consists of, found by its container alone: nothing is decoded, and nothing is
 * allocated that the file only declares.
 *
 * @param format as ImageIO calls it
 * @param width as stored, before the orientation
 * @param height as stored
 * @param exif orientation and comment
 * @param texts by keyword
 * @param core pieces that, joined, are a file with what pixels need: no profiles, no metadata
 * @param traits what the decoder must know beside the core
 */
record PictureParts(
    String format,
    int width,
    int height,
    Exif exif,
    Map<String, String> texts,
    List<ByteBuffer> core,
    Map<Trait, Integer> traits) {

  /** What {@link PictureDecoder} cannot see in the picture that ImageIO gives it. */
  enum Trait {
    /** 1: the three or four components of a JPEG are RGB or CMYK, not YCbCr or YCCK. */
    PLAIN_COLORS,
    /** Photometric interpretation of a TIFF. */
    PHOTOMETRIC,
    /** Left edge of the first frame of an animation. */
    LEFT,
    /** Top edge of that frame. */
    TOP,
    /** RGB of where that frame is not, 0xRRGGBB. */
    BACKGROUND
  }

  /** How much of a file tells what it is. */
  static final int START = 16;

  /** Where Pillow begins to warn: what is larger is an attack or an accident. */
  private static final long MAX_PIXELS = 89_478_485;

  /**
   * Deflate, which packs best of what all formats but WebP use, makes at most 1032 bytes of one,
   * and a byte has 8 pixels at most. WebP can make any number of pixels of nothing, if all are
   * equal; so can broken files.
   */
  private static final long MAX_PIXELS_PER_BYTE = 8 * 1032;

  /** Small pictures of one colour are real, however short their files are. */
  private static final long ALWAYS_ALLOWED = 1 << 22;

  /**
   * @param source names the file in messages
   * @throws LongAlignException if it is no picture, is damaged, or has more pixels than are decoded
   */
  static PictureParts of(String source, ByteBuffer file) {
    try {
      PictureParts parts = parse(source, file);
      parts.checkSize(source, file.limit());
      return parts;
    } catch (IndexOutOfBoundsException | IllegalArgumentException cut) {
      throw new LongAlignException(source + ": the picture ends early or is damaged", cut);
    }
  }

  private static PictureParts parse(String source, ByteBuffer file) {
    String start = latin1(file, 0, Math.min(START, file.limit()));
    return switch (format(start)) {
      case "png" -> PngParts.of(source, file);
      case "jpeg" -> JpegParts.of(source, file);
      case "webp" -> WebpParts.of(source, file);
      case "gif" -> OtherParts.gif(source, file);
      case "bmp" -> OtherParts.bmp(source, file);
      case "tiff" -> OtherParts.tiff(source, file);
      default ->
          throw new LongAlignException(
              source
                  + ": expected a picture (PNG, JPEG, WebP, GIF, BMP or TIFF), found "
                  + kind(start));
    };
  }

  /** What a file is that starts so (Latin-1, {@link #START} characters); empty if no picture. */
  static String format(String start) {
    if (start.startsWith("\u0089PNG\r\n\u001a\n")) {
      return "png";
    } else if (start.startsWith("\u00ff\u00d8\u00ff")) {
      return "jpeg";
    } else if (start.startsWith("RIFF") && start.startsWith("WEBP", 8)) {
      return "webp";
    } else if (start.startsWith("GIF87a") || start.startsWith("GIF89a")) {
      return "gif";
    } else if (start.startsWith("BM") && start.startsWith("\0\0\0\0", 6)) {
      return "bmp";
    }
    return start.startsWith("II*\0") || start.startsWith("MM\0*") ? "tiff" : "";
  }

  private static String kind(String start) {
    if (start.isEmpty()) {
      return "an empty file";
    } else if (start.startsWith("ftyp", 4)) {
      return "HEIF, AVIF or a video; save it as PNG or JPEG";
    } else if (start.startsWith("JXL ", 4) || start.startsWith("\u00ff\n")) {
      return "JPEG XL; save it as PNG or JPEG";
    } else if (start.startsWith("8BPS")) {
      return "a Photoshop file; save it as PNG or JPEG";
    } else if (start.startsWith("version https://")) {
      return "a Git LFS pointer; run 'git lfs pull'";
    }
    return start.startsWith("<") ? "a web page or SVG" : "something else";
  }

  private void checkSize(String source, long length) {
    long pixels = (long) width * height;
    if (width < 1 || height < 1) {
      throw new LongAlignException(source + ": a picture without pixels");
    } else if (pixels > MAX_PIXELS) {
      throw new LongAlignException(
          source
              + ": "
              + width
              + " x "
              + height
              + " pixels; at most "
              + MAX_PIXELS
              + " are decoded. Make it smaller");
    } else if (pixels > ALWAYS_ALLOWED && pixels > MAX_PIXELS_PER_BYTE * length) {
      throw new LongAlignException(
          source
              + ": "
              + width
              + " x "
              + height
              + " pixels in a file of "
              + length
              + " bytes, which holds no such picture: damaged, or made to exhaust memory");
    }
  }

  /** Turned as EXIF tells: rows are columns. */
  boolean isTurned() {
    return exif.orientation() >= 5;
  }

  static LongAlignException refusal(String source, String what) {
    return new LongAlignException(source + ": " + what + "; save the picture as a usual PNG");
  }

  /** The texts of a file and the comment of its EXIF, as web UIs name it. */
  static Map<String, String> texts(Map<String, String> texts, Exif exif) {
    Map<String, String> all = new LinkedHashMap<>(texts);
    if (exif.comment() != null && !exif.comment().isBlank()) {
      all.putIfAbsent(GenerationParameters.KEYWORD, exif.comment());
    }
    return all;
  }

  /** Latin-1, one character a byte. */
  static String latin1(ByteBuffer bytes, int at, int length) {
    return StandardCharsets.ISO_8859_1.decode(bytes.slice(at, length)).toString();
  }

  static ByteBuffer bytes(int... values) {
    ByteBuffer bytes = ByteBuffer.allocate(values.length);
    for (int value : values) {
      bytes.put((byte) value);
    }
    return bytes.flip();
  }
}
