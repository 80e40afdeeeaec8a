package dev.longalign.io;

import dev.longalign.LongAlignException;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;

/** The chunks of a PNG. */
final class PngParts {
  /** Of all texts of a file, unpacked: a workflow has a megabyte or two. */
  private static final int MAX_TEXT = 16 << 20;

  private static final String RAW_EXIF = "Raw profile type exif";
  private static final String XMP = "XML:com.adobe.xmp";

  private final String source;
  private final Map<String, String> texts = new LinkedHashMap<>();
  private long textLength;

  private PngParts(String source) {
    this.source = source;
  }

  static PictureParts of(String source, ByteBuffer file) {
    return new PngParts(source).parse(file);
  }

  private PictureParts parse(ByteBuffer file) {
    List<ByteBuffer> core = new ArrayList<>(List.of(file.slice(0, 8)));
    Exif exif = Exif.NONE;
    boolean ended = false;
    for (int at = 8; !ended && at < file.limit(); ) {
      int length = file.getInt(at);
      String type = PictureParts.latin1(file, at + 4, 4);
      ByteBuffer data = file.slice(at + 8, length);
      switch (type) {
        case "IHDR", "PLTE", "tRNS", "IDAT", "IEND" -> core.add(file.slice(at, length + 12));
        case "eXIf" -> exif = Exif.read(data);
        case "tEXt", "zTXt", "iTXt" -> text(type, data);
        default -> {} // gAMA, iCCP, sRGB and the rest: values are taken as they are stored
      }
      ended = type.equals("IEND");
      at += length + 12;
    }
    if (!ended || !PictureParts.latin1(file, 12, 4).equals("IHDR")) {
      throw new LongAlignException(source + ": the picture ends early or is damaged");
    }
    if (exif.orientation() == 0 && texts.containsKey(RAW_EXIF)) {
      exif = rawExif(texts.get(RAW_EXIF));
    }
    exif = exif.orElse(texts.getOrDefault(XMP, ""));
    return new PictureParts(
        "png",
        file.getInt(16),
        file.getInt(20),
        exif,
        PictureParts.texts(texts, exif),
        core,
        Map.of());
  }

  private void text(String type, ByteBuffer data) {
    int zero = zero(data, 0);
    if (zero < 1) {
      return; // a text without a keyword cannot be asked for
    }
    boolean international = type.equals("iTXt");
    boolean packed = type.equals("zTXt") || international && data.get(zero + 1) == 1;
    int start = zero + 1;
    if (international) {
      start = zero(data, zero(data, zero + 3) + 1) + 1;
    } else if (packed) {
      start = zero + 2;
    }
    ByteBuffer text = data.slice(start, data.limit() - start);
    Charset charset = international ? StandardCharsets.UTF_8 : StandardCharsets.ISO_8859_1;
    byte[] plain;
    if (packed) {
      plain = inflate(text);
    } else {
      plain = new byte[text.remaining()];
      text.get(plain);
      count(plain.length);
    }
    texts.putIfAbsent(PictureParts.latin1(data, 0, zero), new String(plain, charset));
  }

  private static int zero(ByteBuffer data, int from) {
    for (int i = from; i < data.limit(); i++) {
      if (data.get(i) == 0) {
        return i;
      }
    }
    throw new IndexOutOfBoundsException("no end of a keyword");
  }

  private byte[] inflate(ByteBuffer packed) {
    Inflater inflater = new Inflater();
    ByteArrayOutputStream plain = new ByteArrayOutputStream();
    byte[] buffer = new byte[8192];
    try {
      inflater.setInput(packed);
      for (int n = inflater.inflate(buffer); n > 0; n = inflater.inflate(buffer)) {
        count(n);
        plain.write(buffer, 0, n);
      }
    } catch (DataFormatException damaged) {
      // What came before the damage is text; the picture is whole without it.
    } finally {
      inflater.end();
    }
    return plain.toByteArray();
  }

  private void count(int more) {
    textLength += more;
    if (textLength > MAX_TEXT) {
      throw new LongAlignException(
          source
              + ": more than "
              + MAX_TEXT
              + " bytes of text in a picture, no settings are so long: damaged, or made to exhaust"
              + " memory");
    }
  }

  /** As ImageMagick writes EXIF: a name, a length and hexadecimal digits, line by line. */
  private static Exif rawExif(String text) {
    String[] lines = text.strip().split("\\s+", 3);
    try {
      String digits = lines.length < 3 ? "" : lines[2].replaceAll("\\s", "");
      return Exif.read(ByteBuffer.wrap(HexFormat.of().parseHex(digits)));
    } catch (IllegalArgumentException damaged) {
      return Exif.NONE;
    }
  }
}
