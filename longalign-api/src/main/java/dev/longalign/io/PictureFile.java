package dev.longalign.io;

import dev.longalign.LongAlignException;
import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import javax.imageio.IIOImage;
import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.ImageTypeSpecifier;
import javax.imageio.ImageWriter;
import javax.imageio.metadata.IIOMetadata;
import javax.imageio.metadata.IIOMetadataNode;
import javax.imageio.stream.ImageInputStream;
import javax.imageio.stream.ImageOutputStream;
import javax.imageio.stream.MemoryCacheImageOutputStream;
import org.w3c.dom.Node;

/**
 * Pictures on disk: PNG with text chunks (the settings that made a picture travel in it), and PNG
 * or JPEG read as RGB.
 *
 * <pre>{@code
 * PictureFile.writePng(path, image, Map.of("parameters", "A long prompt\nSteps: 25, Seed: 42"));
 * String parameters = PictureFile.texts(path).get("parameters");
 * }</pre>
 */
public final class PictureFile {
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

  /** The text chunks of a PNG by keyword; empty for other formats and for a PNG without any. */
  public static Map<String, String> texts(Path path) {
    return read(
        path,
        reader -> {
          Map<String, String> texts = new LinkedHashMap<>();
          if (reader.getFormatName().equalsIgnoreCase("png")) {
            collectTexts(reader.getImageMetadata(0).getAsTree(PNG_FORMAT), texts);
          }
          return texts;
        });
  }

  /** Reads a PNG, JPEG or other picture that ImageIO knows; transparency is laid over white. */
  public static BufferedImage readRgb(Path path) {
    return read(path, reader -> toRgb(reader.read(0)));
  }

  /**
   * The picture itself if it is of TYPE_INT_RGB, else a copy of that type; transparency is laid
   * over white.
   */
  public static BufferedImage toRgb(BufferedImage image) {
    if (image.getType() == BufferedImage.TYPE_INT_RGB) {
      return image;
    }
    BufferedImage rgb =
        new BufferedImage(image.getWidth(), image.getHeight(), BufferedImage.TYPE_INT_RGB);
    Graphics2D graphics = rgb.createGraphics();
    try {
      graphics.drawImage(image, 0, 0, Color.WHITE, null);
    } finally {
      graphics.dispose();
    }
    return rgb;
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
    ImageWriter writer = ImageIO.getImageWritersByFormatName("png").next();
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

  private static void collectTexts(Node root, Map<String, String> texts) {
    for (Node chunk = root.getFirstChild(); chunk != null; chunk = chunk.getNextSibling()) {
      String value =
          switch (chunk.getNodeName()) {
            case "tEXt" -> "value";
            case "iTXt", "zTXt" -> "text";
            default -> null;
          };
      for (Node entry = chunk.getFirstChild();
          value != null && entry != null;
          entry = entry.getNextSibling()) {
        IIOMetadataNode node = (IIOMetadataNode) entry;
        texts.putIfAbsent(node.getAttribute("keyword"), node.getAttribute(value));
      }
    }
  }

  @FunctionalInterface
  private interface Reading<T> {
    T apply(ImageReader reader) throws IOException;
  }

  private static <T> T read(Path path, Reading<T> reading) {
    if (!Files.isRegularFile(path)) {
      throw new LongAlignException(path + (Files.exists(path) ? " is no file" : ": no such file"));
    }
    try (ImageInputStream stream = ImageIO.createImageInputStream(path.toFile())) {
      if (stream == null) {
        throw new LongAlignException(path + " cannot be read");
      }
      Iterator<ImageReader> readers = ImageIO.getImageReaders(stream);
      if (!readers.hasNext()) {
        throw new LongAlignException(
            path + ": expected a picture (PNG or JPEG), found something else");
      }
      ImageReader reader = readers.next();
      try {
        reader.setInput(stream);
        return reading.apply(reader);
      } finally {
        reader.dispose();
      }
    } catch (IOException | RuntimeException damaged) {
      if (damaged instanceof LongAlignException refusal) {
        throw refusal;
      }
      // ImageIO's readers answer damaged files with all kinds of exceptions.
      throw new LongAlignException(
          path + " cannot be read as a picture: " + damaged.getMessage(), damaged);
    }
  }
}
