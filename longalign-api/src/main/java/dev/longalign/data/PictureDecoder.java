package dev.longalign.data;

import dev.longalign.LongAlignException;
import dev.longalign.io.Reasons;
import java.awt.image.BufferedImage;
import java.awt.image.ColorModel;
import java.awt.image.ComponentColorModel;
import java.awt.image.DataBuffer;
import java.awt.image.Raster;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.Locale;
import java.util.concurrent.atomic.AtomicReference;
import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.event.IIOReadWarningListener;
import javax.imageio.stream.ImageInputStream;
import javax.imageio.stream.MemoryCacheImageInputStream;

/**
 * Decodes JPEG, PNG, WebP and whatever else ImageIO knows. Like the reference's, it takes the
 * stored values as they are: no colour management, no rotation by EXIF; grey becomes three equal
 * channels. Transparency is laid over white. A picture that ends early is refused, not half used.
 */
final class PictureDecoder {
  /** Where Pillow begins to warn: what is larger is an attack or an accident. */
  private static final long MAX_PIXELS = 89_478_485;

  private static final long MAX_FILE_BYTES = 1L << 30;

  private PictureDecoder() {}

  static RgbPicture read(Path file) {
    try {
      if (!Files.isRegularFile(file)) {
        throw new LongAlignException(
            file + (Files.exists(file) ? ": not a file" : ": no such file"));
      }
      if (Files.size(file) > MAX_FILE_BYTES) {
        throw new LongAlignException(
            file + ": " + Files.size(file) + " bytes, too many for a picture");
      }
      return decode(file.toString(), Files.readAllBytes(file));
    } catch (IOException unreadable) {
      throw new LongAlignException(file + " cannot be read: " + Reasons.of(unreadable), unreadable);
    }
  }

  /**
   * Decodes a picture file in memory.
   *
   * @param name names it in messages
   * @throws LongAlignException if it is damaged or no picture
   */
  static RgbPicture decode(String name, byte[] file) {
    checkLength(name, file);
    try (ImageInputStream stream =
        new MemoryCacheImageInputStream(new ByteArrayInputStream(file))) {
      Iterator<ImageReader> readers = ImageIO.getImageReaders(stream);
      if (!readers.hasNext()) {
        throw new LongAlignException(
            name
                + ": expected a picture (JPEG, PNG or WebP), found "
                + (file.length == 0 ? "an empty file" : "something else"));
      }
      ImageReader reader = readers.next();
      try {
        return decode(name, reader, stream);
      } finally {
        reader.dispose();
      }
    } catch (LongAlignException refusal) {
      throw refusal;
    } catch (IOException | RuntimeException damaged) {
      // ImageIO's readers answer damaged files with all kinds of exceptions.
      throw new LongAlignException(
          name + ": a damaged or unsupported picture: " + reason(damaged), damaged);
    } catch (OutOfMemoryError tooLarge) { // one large array that was refused; nothing is broken
      throw new LongAlignException(
          name + ": too large for the memory of this process; raise -Xmx", tooLarge);
    }
  }

  private static RgbPicture decode(String name, ImageReader reader, ImageInputStream stream)
      throws IOException {
    AtomicReference<String> truncated = new AtomicReference<>();
    IIOReadWarningListener listener =
        (source, warning) -> {
          String lower = warning.toLowerCase(Locale.ROOT);
          if (lower.contains("premature") || lower.contains("truncated")) {
            truncated.set(warning);
          }
        };
    reader.addIIOReadWarningListener(listener);
    reader.setInput(stream, true, true);
    long pixels = (long) reader.getWidth(0) * reader.getHeight(0);
    if (pixels > MAX_PIXELS) {
      throw new LongAlignException(
          name
              + ": "
              + reader.getWidth(0)
              + " x "
              + reader.getHeight(0)
              + " pixels; at most "
              + MAX_PIXELS
              + " are decoded");
    }
    BufferedImage image = reader.read(0);
    if (truncated.get() != null) {
      throw new LongAlignException(name + ": the picture ends early: " + truncated.get());
    }
    return toRgb(image);
  }

  /** WebP's reader makes up what is missing, so its length is compared with what it declares. */
  private static void checkLength(String name, byte[] file) {
    if (file.length >= 12
        && file[0] == 'R'
        && file[1] == 'I'
        && file[2] == 'F'
        && file[3] == 'F'
        && file[8] == 'W') {
      long declared =
          8L
              + (file[4] & 255)
              + ((file[5] & 255) << 8)
              + ((file[6] & 255) << 16)
              + ((file[7] & 255L) << 24);
      if (declared > file.length) {
        throw new LongAlignException(
            name + ": the picture ends early: " + file.length + " bytes, it declares " + declared);
      }
    }
  }

  static RgbPicture toRgb(BufferedImage image) {
    ColorModel colors = image.getColorModel();
    Raster raster = image.getRaster();
    int type = raster.getTransferType();
    int bands = raster.getNumBands();
    boolean plain =
        colors instanceof ComponentColorModel
            && !colors.isAlphaPremultiplied()
            && (type == DataBuffer.TYPE_BYTE || type == DataBuffer.TYPE_USHORT)
            && colors.getComponentSize(0) == DataBuffer.getDataTypeSize(type)
            && bands == (colors.hasAlpha() ? 1 : 0) + colors.getNumColorComponents()
            && (colors.getNumColorComponents() == 1 || colors.getNumColorComponents() == 3);
    return plain ? fromRaster(image) : fromColors(image);
  }

  private static RgbPicture fromRaster(BufferedImage image) {
    int width = image.getWidth();
    int height = image.getHeight();
    Raster raster = image.getRaster();
    int bands = raster.getNumBands();
    int colors = image.getColorModel().getNumColorComponents();
    int shift = raster.getTransferType() == DataBuffer.TYPE_USHORT ? 8 : 0;
    byte[] rgb = new byte[Math.multiplyExact(3, width * height)];
    int[] row = new int[width * bands];
    int at = 0;
    for (int y = 0; y < height; y++) {
      raster.getPixels(0, y, width, 1, row);
      for (int x = 0; x < width; x++) {
        int alpha = bands > colors ? row[x * bands + colors] >> shift : 255;
        for (int c = 0; c < 3; c++) {
          int value = row[x * bands + (colors == 1 ? 0 : c)] >> shift;
          rgb[at++] = (byte) overWhite(value, alpha);
        }
      }
    }
    return RgbPicture.owning(width, height, rgb);
  }

  private static RgbPicture fromColors(BufferedImage image) {
    int width = image.getWidth();
    int height = image.getHeight();
    byte[] rgb = new byte[Math.multiplyExact(3, width * height)];
    int[] row = new int[width];
    int at = 0;
    for (int y = 0; y < height; y++) {
      image.getRGB(0, y, width, 1, row, 0, width);
      for (int argb : row) {
        for (int shift = 16; shift >= 0; shift -= 8) {
          rgb[at++] = (byte) overWhite(argb >> shift & 255, argb >>> 24);
        }
      }
    }
    return RgbPicture.owning(width, height, rgb);
  }

  private static int overWhite(int value, int alpha) {
    return alpha == 255 ? value : (value * alpha + 255 * (255 - alpha) + 127) / 255;
  }

  private static String reason(Exception damaged) {
    Throwable root = damaged;
    while (root.getCause() != null) {
      root = root.getCause();
    }
    String message = root instanceof UncheckedIOException ? null : root.getMessage();
    return message == null ? root.getClass().getSimpleName() : message;
  }
}
