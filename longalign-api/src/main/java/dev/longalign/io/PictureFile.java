package dev.longalign.io;

import dev.longalign.LongAlignException;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.function.Supplier;
import javax.imageio.IIOImage;
import javax.imageio.ImageTypeSpecifier;
import javax.imageio.ImageWriter;
import javax.imageio.metadata.IIOMetadata;
import javax.imageio.metadata.IIOMetadataNode;
import javax.imageio.spi.ImageWriterSpi;
import javax.imageio.stream.ImageOutputStream;
import javax.imageio.stream.MemoryCacheImageOutputStream;

/**
 * Pictures on disk. PNG is written, with text chunks (the settings that made a picture travel in
 * it); PNG, JPEG, WebP, GIF, BMP and TIFF are read, by everything here that reads a picture.
 *
 * <pre>{@code
 * PictureFile.writePng(path, image, Map.of("parameters", "A long prompt\nSteps: 25, Seed: 42"));
 * String parameters = PictureFile.info(path).texts().get("parameters");
 * BufferedImage photo = PictureFile.readRgb(Path.of("photo.jpg")); // upright
 * }</pre>
 *
 * <p>What is read is what Pillow's {@code ImageOps.exif_transpose(image).convert("RGB")} gives, but
 * for the two rows marked *:
 *
 * <table>
 * <caption>Modes</caption>
 * <tr><th>stored as</th><th>read as</th></tr>
 * <tr><td>gray of 1, 2, 4, 8 bits</td><td>three equal channels, full range</td></tr>
 * <tr><td>gray of 16 bits *</td><td>the high byte (Pillow cuts at 255, so that nearly all is
 *   white)</td></tr>
 * <tr><td>RGB of 8 or 16 bits</td><td>as it is; the high byte</td></tr>
 * <tr><td>palette</td><td>its colours</td></tr>
 * <tr><td>alpha, a transparent colour or palette entry *</td><td>laid over white (Pillow drops it,
 *   which shows what was never to be seen)</td></tr>
 * <tr><td>YCbCr</td><td>libjpeg's formula; WebP's colours are not interpolated between blocks, so
 *   they differ by a few units</td></tr>
 * <tr><td>CMYK, YCCK (JPEG, TIFF)</td><td>Pillow's formula, no profile; JPEG's inks are inverted, as
 *   Adobe has them</td></tr>
 * <tr><td>ICC profile, gAMA, sRGB, cHRM</td><td>ignored: stored values count</td></tr>
 * <tr><td>orientation (EXIF, XMP, TIFF)</td><td>the picture stands upright</td></tr>
 * <tr><td>interlaced, progressive</td><td>the whole picture</td></tr>
 * <tr><td>animated</td><td>the first frame, in its place</td></tr>
 * <tr><td>CIE L*a*b* or YCbCr TIFF, floating point, JPEG of 12 bits, arithmetic or lossless coding,
 *   uncompressed alpha in WebP</td><td>refused by name</td></tr>
 * </table>
 *
 * <p>Before anything is decoded, a picture of more than 89,478,485 pixels, or of more pixels than
 * its file can hold, or with more than 16 MiB of texts, is refused.
 */
public final class PictureFile {
  private static final long MAX_FILE_BYTES = 1L << 30;
  private static final String PNG_FORMAT = "javax_imageio_png_1.0";

  private PictureFile() {}

  /**
   * Writes an RGB PNG, atomically. Texts become tEXt chunks where Latin-1 can hold them, else iTXt
   * chunks.
   *
   * @param texts keyword (1 to 79 printable ASCII characters) to text
   * @throws LongAlignException if it cannot be written; no half file stays
   */
  public static void writePng(Path path, BufferedImage image, Map<String, String> texts) {
    texts.forEach((keyword, text) -> checkText(path, keyword, text));
    AtomicFiles.write(path, out -> encode(toRgb(image), texts, out));
  }

  /** An RGB PNG in memory, as {@link #writePng} writes it. */
  public static byte[] png(BufferedImage image, Map<String, String> texts) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try {
      encode(toRgb(image), texts, out);
    } catch (IOException impossible) {
      throw new UncheckedIOException(impossible);
    }
    return out.toByteArray();
  }

  /**
   * What a picture file says of itself.
   *
   * @param width of the upright picture
   * @param height of the upright picture
   * @param texts by keyword: a PNG's text chunks; the settings that web UIs put into EXIF's user
   *     comment are {@code parameters}, in any format
   */
  public record Info(int width, int height, Map<String, String> texts) {}

  /**
   * Size and texts, without decoding pixels.
   *
   * @throws LongAlignException if it is no picture, damaged, or too large
   */
  public static Info info(Path path) {
    return guarded(
        path.toString(),
        () -> {
          PictureParts parts = PictureParts.of(path.toString(), load(path));
          return parts.isTurned()
              ? new Info(parts.height(), parts.width(), parts.texts())
              : new Info(parts.width(), parts.height(), parts.texts());
        });
  }

  /** Whether a file starts as one of the formats that are read; false if it cannot be read. */
  public static boolean isPicture(Path path) {
    try (InputStream in = new FileInputStream(path.toFile())) {
      byte[] start = in.readNBytes(PictureParts.START);
      return !PictureParts.format(new String(start, StandardCharsets.ISO_8859_1)).isEmpty();
    } catch (IOException unreadable) {
      return false;
    }
  }

  /** The texts of {@link #info}. */
  public static Map<String, String> texts(Path path) {
    return info(path).texts();
  }

  /**
   * Reads a picture upright, as the table above says.
   *
   * @return of TYPE_INT_RGB
   * @throws LongAlignException if it is no picture, is damaged or cut, or is too large
   */
  public static BufferedImage readRgb(Path path) {
    return guarded(path.toString(), () -> decode(path.toString(), load(path)));
  }

  /**
   * {@link #readRgb(Path)} of a file in memory.
   *
   * @param source names it in messages
   */
  public static BufferedImage readRgb(String source, byte[] file) {
    return guarded(source, () -> decode(source, ByteBuffer.wrap(file)));
  }

  private static BufferedImage decode(String source, ByteBuffer file) {
    return PictureDecoder.decode(source, PictureParts.of(source, file));
  }

  private static <T> T guarded(String source, Supplier<T> reading) {
    try {
      return reading.get();
    } catch (OutOfMemoryError tooLarge) { // one large array that was refused; nothing is broken
      throw new LongAlignException(
          source + ": too large for the memory of this process; raise -Xmx", tooLarge);
    }
  }

  private static ByteBuffer load(Path path) {
    if (!Files.isRegularFile(path)) {
      throw new LongAlignException(path + (Files.exists(path) ? " is no file" : ": no such file"));
    }
    // Not a channel: an interrupt of the thread would close it.
    try (InputStream in = new FileInputStream(path.toFile())) {
      long size = Files.size(path);
      if (size > MAX_FILE_BYTES) {
        throw new LongAlignException(path + ": " + size + " bytes, too many for a picture");
      }
      return ByteBuffer.wrap(in.readAllBytes());
    } catch (IOException unreadable) {
      throw new LongAlignException(
          path + " cannot be read: " + unreadable.getMessage(), unreadable);
    }
  }

  /**
   * The picture itself if it is of TYPE_INT_RGB, else a copy of that type by the rules of the
   * table: stored values count, transparency is laid over white.
   */
  public static BufferedImage toRgb(BufferedImage image) {
    return RgbPixels.of(image);
  }

  private static void checkText(Path path, String keyword, String text) {
    if (!keyword.matches("[!-~]([ -~]{0,77}[!-~])?")) {
      throw new LongAlignException(
          path
              + " cannot be written: the text keyword '"
              + Names.printable(keyword)
              + "' is not 1 to 79 printable ASCII characters");
    }
    if (text.indexOf('\0') >= 0) {
      throw new LongAlignException(
          path + " cannot be written: the text '" + keyword + "' contains a NUL character");
    }
  }

  private static void encode(BufferedImage image, Map<String, String> texts, OutputStream out)
      throws IOException {
    ImageWriter writer = PictureDecoder.jdk(ImageWriterSpi.class, "png").createWriterInstance();
    // An in-memory stream: ImageIO's own file cache would fail on a full /tmp.
    try (ImageOutputStream stream = new MemoryCacheImageOutputStream(out)) {
      IIOMetadata metadata =
          writer.getDefaultImageMetadata(
              ImageTypeSpecifier.createFromRenderedImage(image), writer.getDefaultWriteParam());
      IIOMetadataNode root = new IIOMetadataNode(PNG_FORMAT);
      root.appendChild(textNode("tEXt", texts, true));
      root.appendChild(textNode("iTXt", texts, false));
      metadata.mergeTree(PNG_FORMAT, root);
      writer.setOutput(stream);
      writer.write(new IIOImage(image, null, metadata));
    } finally {
      writer.dispose();
    }
  }

  private static IIOMetadataNode textNode(String chunk, Map<String, String> texts, boolean latin1) {
    IIOMetadataNode node = new IIOMetadataNode(chunk);
    texts.forEach(
        (keyword, text) -> {
          if (isLatin1(text) == latin1) {
            IIOMetadataNode entry = new IIOMetadataNode(chunk + "Entry");
            entry.setAttribute("keyword", keyword);
            entry.setAttribute(latin1 ? "value" : "text", text);
            if (!latin1) {
              entry.setAttribute("compressionFlag", "FALSE");
              entry.setAttribute("compressionMethod", "0");
              entry.setAttribute("languageTag", "");
              entry.setAttribute("translatedKeyword", "");
            }
            node.appendChild(entry);
          }
        });
    return node;
  }

  private static boolean isLatin1(String text) {
    return StandardCharsets.ISO_8859_1.newEncoder().canEncode(text);
  }
}
