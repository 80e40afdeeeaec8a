package dev.longalign.io;

import dev.longalign.LongAlignException;
import dev.longalign.io.PictureParts.Trait;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.util.Arrays;
import java.util.Iterator;
import java.util.Locale;
import java.util.ServiceLoader;
import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.spi.IIORegistry;
import javax.imageio.spi.ImageReaderSpi;
import javax.imageio.spi.ImageReaderWriterSpi;
import javax.imageio.stream.ImageInputStream;

/** Pixels of {@link PictureParts}, by the JDK's own ImageIO readers and TwelveMonkeys' for WebP. */
final class PictureDecoder {
  /** What WebP's reader looks ahead. */
  private static final int READ_AHEAD = 16;

  private static final int PALETTE = 3;
  private static final int CMYK = 5;
  private static final String WEBP_PLUGIN = "com.twelvemonkeys.imageio.plugins.webp.";

  private PictureDecoder() {}

  static BufferedImage decode(String source, PictureParts parts) {
    int ahead = parts.format().equals("webp") ? READ_AHEAD : 0;
    try (ImageInputStream stream = new PictureStream(source, parts.core(), ahead)) {
      ImageReader reader = reader(parts.format());
      try {
        reader.addIIOReadWarningListener((from, warning) -> refuseTruncation(source, warning));
        reader.setInput(stream, true, true);
        return RgbPixels.upright(read(source, reader, parts), parts.exif().orientation());
      } finally {
        reader.dispose();
      }
    } catch (LongAlignException refusal) {
      throw refusal;
    } catch (IOException | RuntimeException damaged) {
      // ImageIO's readers answer damaged files with all kinds of exceptions.
      throw new LongAlignException(
          source + ": a damaged or unsupported picture: " + reason(damaged), damaged);
    }
  }

  private static BufferedImage read(String source, ImageReader reader, PictureParts parts)
      throws IOException {
    BufferedImage frame;
    if (parts.format().equals("jpeg")) {
      frame =
          RgbPixels.jpeg(reader.readRaster(0, null), parts.traits().get(Trait.PLAIN_COLORS) == 1);
    } else {
      BufferedImage image = reader.read(0);
      int photometric = parts.traits().getOrDefault(Trait.PHOTOMETRIC, -1);
      if (photometric == CMYK) {
        frame = RgbPixels.cmyk(image.getRaster());
      } else if (photometric == PALETTE) {
        int bits = image.getColorModel().getPixelSize();
        frame = RgbPixels.indexed(image.getRaster(), OtherParts.palette(parts.core().get(0), bits));
      } else {
        frame = RgbPixels.of(image);
      }
    }
    if (parts.traits().containsKey(Trait.LEFT)) {
      frame =
          RgbPixels.placed(
              frame,
              parts.width(),
              parts.height(),
              parts.traits().get(Trait.LEFT),
              parts.traits().get(Trait.TOP),
              parts.traits().get(Trait.BACKGROUND));
    }
    if (frame.getWidth() != parts.width() || frame.getHeight() != parts.height()) {
      throw new LongAlignException(source + ": damaged: its headers give different sizes");
    }
    return frame;
  }

  private static ImageReader reader(String format) throws IOException {
    return (format.equals("webp") ? webp() : jdk(ImageReaderSpi.class, format))
        .createReaderInstance();
  }

  private static ImageReaderSpi webp() throws IOException {
    return ServiceLoader.load(ImageReaderSpi.class, PictureDecoder.class.getClassLoader()).stream()
        .filter(provider -> provider.type().getName().startsWith(WEBP_PLUGIN))
        .findFirst()
        .orElseThrow(() -> new IOException("com.twelvemonkeys.imageio:imageio-webp is missing"))
        .get();
  }

  /** Those that other parts of the program have registered would read some modes otherwise. */
  static <T extends ImageReaderWriterSpi> T jdk(Class<T> kind, String format) throws IOException {
    Iterator<T> all = IIORegistry.getDefaultInstance().getServiceProviders(kind, true);
    while (all.hasNext()) {
      T provider = all.next();
      if (provider.getClass().getModule() == ImageIO.class.getModule()
          && Arrays.asList(provider.getFormatNames()).contains(format)) {
        return provider;
      }
    }
    throw new IOException("the JDK's own ImageIO plug-in for " + format + " was deregistered");
  }

  private static void refuseTruncation(String source, String warning) {
    String lower = warning.toLowerCase(Locale.ROOT);
    if (lower.contains("premature") || lower.contains("truncated")) {
      throw new LongAlignException(source + ": the picture ends early: " + warning);
    }
  }

  private static String reason(Exception damaged) {
    Throwable root = damaged;
    while (root.getCause() != null) {
      root = root.getCause();
    }
    return root.getMessage() == null
        ? root.getClass().getSimpleName()
        : Names.printable(root.getMessage());
  }
}
