package dev.longalign.io;

import java.awt.color.ColorSpace;
import java.awt.image.BufferedImage;
import java.awt.image.ColorModel;
import java.awt.image.DataBuffer;
import java.awt.image.DataBufferInt;
import java.awt.image.IndexColorModel;
import java.awt.image.Raster;
import java.util.Arrays;

/** Stored values as 0xRRGGBB, without colour management; see {@link PictureFile} for the rules. */
final class RgbPixels {
  private RgbPixels() {}

  /** Of any picture; what has a colour space of its own is converted as AWT does it. */
  static BufferedImage of(BufferedImage image) {
    if (image.getType() == BufferedImage.TYPE_INT_RGB) {
      return image;
    }
    ColorModel colors = image.getColorModel();
    if (colors instanceof IndexColorModel palette) {
      return indexed(image.getRaster(), palette);
    }
    Raster raster = image.getRaster();
    int type = raster.getTransferType();
    int space = colors.getColorSpace().getType();
    int components = colors.getNumColorComponents();
    boolean stored =
        !colors.isAlphaPremultiplied()
            && (type == DataBuffer.TYPE_BYTE
                || type == DataBuffer.TYPE_USHORT
                || type == DataBuffer.TYPE_INT)
            && colors.getComponentSize(0) <= 16
            && raster.getNumBands() == components + (colors.hasAlpha() ? 1 : 0)
            && (space == ColorSpace.TYPE_GRAY && components == 1
                || space == ColorSpace.TYPE_RGB && components == 3);
    return stored ? components(raster, colors) : converted(image);
  }

  /** Turns the rows of a picture into pixels. */
  private interface Row {
    void convert(int y, int[] pixels);
  }

  private static BufferedImage rows(int width, int height, Row row) {
    BufferedImage rgb = new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB);
    int[] pixels = new int[width];
    for (int y = 0; y < height; y++) {
      row.convert(y, pixels);
      rgb.getRaster().setDataElements(0, y, width, 1, pixels);
    }
    return rgb;
  }

  static BufferedImage indexed(Raster raster, IndexColorModel palette) {
    int[] colors = new int[1 << palette.getPixelSize()];
    int[] known = new int[palette.getMapSize()];
    palette.getRGBs(known);
    for (int i = 0; i < Math.min(known.length, colors.length); i++) {
      colors[i] = overWhite(known[i], known[i] >>> 24);
    }
    int width = raster.getWidth();
    int[] values = new int[width];
    return rows(
        width,
        raster.getHeight(),
        (y, pixels) -> {
          raster.getSamples(0, y, width, 1, 0, values);
          for (int x = 0; x < width; x++) {
            pixels[x] = colors[values[x]];
          }
        });
  }

  private static BufferedImage components(Raster raster, ColorModel model) {
    int width = raster.getWidth();
    int bands = raster.getNumBands();
    int colors = model.getNumColorComponents();
    int[] values = new int[width * bands];
    return rows(
        width,
        raster.getHeight(),
        (y, pixels) -> {
          raster.getPixels(0, y, width, 1, values);
          for (int x = 0; x < width; x++) {
            int rgb = 0;
            for (int c = 0; c < 3; c++) {
              int band = colors == 1 ? 0 : c;
              rgb = rgb << 8 | eight(values[x * bands + band], model.getComponentSize(band));
            }
            pixels[x] =
                bands == colors
                    ? rgb
                    : overWhite(
                        rgb, eight(values[x * bands + colors], model.getComponentSize(colors)));
          }
        });
  }

  private static BufferedImage converted(BufferedImage image) {
    int width = image.getWidth();
    return rows(
        width,
        image.getHeight(),
        (y, pixels) -> {
          image.getRGB(0, y, width, 1, pixels, 0, width);
          for (int x = 0; x < width; x++) {
            pixels[x] = overWhite(pixels[x], pixels[x] >>> 24);
          }
        });
  }

  /**
   * The bands of a JPEG as they are coded, by libjpeg's integer arithmetic and Pillow's for CMYK.
   */
  static BufferedImage jpeg(Raster raster, boolean plain) {
    int width = raster.getWidth();
    int bands = raster.getNumBands();
    int[] values = new int[width * bands];
    return rows(
        width,
        raster.getHeight(),
        (y, pixels) -> {
          raster.getPixels(0, y, width, 1, values);
          for (int x = 0; x < width; x++) {
            int at = x * bands;
            int first = values[at];
            int rgb =
                bands == 1
                    ? first * 0x010101
                    : plain
                        ? first << 16 | values[at + 1] << 8 | values[at + 2]
                        : yccToRgb(first, values[at + 1] - 128, values[at + 2] - 128);
            // Adobe stores inks inverted; those of YCCK were inverted once more by the transform.
            pixels[x] = bands == 4 ? cmykToRgb(plain ? ~rgb : rgb, 255 - values[at + 3]) : rgb;
          }
        });
  }

  /** The bands of a TIFF, 0 to 255 of ink. */
  static BufferedImage cmyk(Raster raster) {
    int width = raster.getWidth();
    int bands = raster.getNumBands();
    int shift = raster.getTransferType() == DataBuffer.TYPE_BYTE ? 0 : 8;
    int[] values = new int[width * bands];
    return rows(
        width,
        raster.getHeight(),
        (y, pixels) -> {
          raster.getPixels(0, y, width, 1, values);
          for (int x = 0; x < width; x++) {
            int at = x * bands;
            int inks =
                values[at] >> shift << 16 | values[at + 1] >> shift << 8 | values[at + 2] >> shift;
            pixels[x] = cmykToRgb(inks, values[at + 3] >> shift);
          }
        });
  }

  private static int yccToRgb(int y, int cb, int cr) {
    int red = y + (91881 * cr + 32768 >> 16);
    int green = y + (-22554 * cb - 46802 * cr + 32768 >> 16);
    int blue = y + (116130 * cb + 32768 >> 16);
    return clip(red) << 16 | clip(green) << 8 | clip(blue);
  }

  private static int cmykToRgb(int inks, int black) {
    int rgb = 0;
    for (int shift = 16; shift >= 0; shift -= 8) {
      int product = (inks >> shift & 255) * (255 - black) + 128;
      rgb = rgb << 8 | clip(255 - black - ((product >> 8) + product >> 8));
    }
    return rgb;
  }

  private static int clip(int value) {
    return Math.max(0, Math.min(255, value));
  }

  private static int eight(int value, int bits) {
    return bits == 8 ? value : bits > 8 ? value >> bits - 8 : value * 255 / ((1 << bits) - 1);
  }

  private static int overWhite(int rgb, int alpha) {
    if (alpha == 255) {
      return rgb & 0xFFFFFF;
    }
    int over = 0;
    for (int shift = 16; shift >= 0; shift -= 8) {
      over = over << 8 | ((rgb >> shift & 255) * alpha + 255 * (255 - alpha) + 127) / 255;
    }
    return over;
  }

  /** A frame in its place. */
  static BufferedImage placed(
      BufferedImage frame, int width, int height, int left, int top, int background) {
    if (frame.getWidth() == width && frame.getHeight() == height) {
      return frame;
    }
    BufferedImage screen = new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB);
    Arrays.fill(data(screen), background);
    screen.getRaster().setDataElements(left, top, frame.getRaster());
    return screen;
  }

  /** As it was held: EXIF's orientation 1 to 8 undone. */
  static BufferedImage upright(BufferedImage image, int orientation) {
    if (orientation <= 1) {
      return image;
    }
    int width = image.getWidth();
    int height = image.getHeight();
    boolean turned = orientation >= 5;
    boolean mirrored = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    boolean flipped = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    int[] from = image.getRGB(0, 0, width, height, null, 0, width);
    BufferedImage to =
        turned
            ? new BufferedImage(height, width, BufferedImage.TYPE_INT_RGB)
            : new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB);
    int[] pixels = data(to);
    int at = 0;
    for (int y = 0; y < to.getHeight(); y++) {
      for (int x = 0; x < to.getWidth(); x++) {
        int column = turned ? y : x;
        int row = turned ? x : y;
        int sourceX = mirrored ? width - 1 - column : column;
        int sourceY = flipped ? height - 1 - row : row;
        pixels[at++] = from[sourceY * width + sourceX] & 0xFFFFFF;
      }
    }
    return to;
  }

  /** The pixels of a picture of TYPE_INT_RGB, row by row. */
  static int[] data(BufferedImage rgb) {
    return ((DataBufferInt) rgb.getRaster().getDataBuffer()).getData();
  }
}
