package dev.longalign.io;

import dev.longalign.LongAlignException;
import dev.longalign.io.PictureParts.Trait;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** The chunks of a WebP; of an animation, the first frame. */
final class WebpParts {
  private static final int HEADER = 8;
  private static final int ALPHA_FLAG = 0x10;

  private final String source;
  private int canvasWidth;
  private int canvasHeight;
  private int left;
  private int top;
  private ByteBuffer alpha;
  private ByteBuffer image;
  private Exif exif = Exif.NONE;
  private String xmp = "";
  private boolean animated;

  private WebpParts(String source) {
    this.source = source;
  }

  static PictureParts of(String source, ByteBuffer file) {
    ByteBuffer little = file.slice().order(ByteOrder.LITTLE_ENDIAN);
    long declared = 8 + (little.getInt(4) & 0xFFFFFFFFL);
    if (declared > little.limit()) {
      throw new LongAlignException(
          source
              + ": the picture ends early: "
              + little.limit()
              + " bytes, it declares "
              + declared);
    }
    WebpParts parts = new WebpParts(source);
    parts.read(slice(little, 12, (int) declared - 12));
    return parts.join();
  }

  private static ByteBuffer slice(ByteBuffer bytes, int at, int length) {
    return bytes.slice(at, length).order(ByteOrder.LITTLE_ENDIAN);
  }

  private void read(ByteBuffer chunks) {
    for (int at = 0; at + HEADER <= chunks.limit(); ) {
      int length = chunks.getInt(at + 4);
      ByteBuffer data = slice(chunks, at + HEADER, length);
      switch (PictureParts.latin1(chunks, at, 4)) {
        case "VP8X" -> {
          canvasWidth = 1 + int24(data, 4);
          canvasHeight = 1 + int24(data, 7);
        }
        case "VP8 ", "VP8L" -> image = image == null ? slice(chunks, at, HEADER + length) : image;
        case "ALPH" -> alpha = image == null ? slice(chunks, at, HEADER + length) : alpha;
        case "EXIF" -> exif = Exif.read(data);
        case "XMP " -> xmp = PictureParts.latin1(data, 0, length);
        case "ANMF" -> {
          if (image == null) {
            animated = true;
            left = 2 * int24(data, 0);
            top = 2 * int24(data, 3);
            read(slice(data, 16, length - 16));
          }
        }
        default -> {} // ICCP and the rest: values are taken as they are stored
      }
      at = Math.addExact(at, HEADER + length + (length & 1));
    }
  }

  private PictureParts join() {
    if (image == null) {
      throw new LongAlignException(source + ": a WebP without a picture");
    }
    boolean lossless = image.get(3) == 'L';
    int width = lossless ? 1 + (image.getInt(9) & 0x3FFF) : image.getShort(14) & 0x3FFF;
    int height = lossless ? 1 + (image.getInt(9) >> 14 & 0x3FFF) : image.getShort(16) & 0x3FFF;
    canvasWidth = canvasWidth == 0 ? width : canvasWidth;
    canvasHeight = canvasHeight == 0 ? height : canvasHeight;
    boolean fits =
        animated
            ? left + width <= canvasWidth && top + height <= canvasHeight
            : width == canvasWidth && height == canvasHeight;
    if (!fits) {
      throw new LongAlignException(
          source
              + ": damaged: its frame has "
              + width
              + " x "
              + height
              + " pixels, the picture "
              + canvasWidth
              + " x "
              + canvasHeight);
    }
    if (alpha != null && (alpha.get(HEADER) & 3) == 0) {
      throw PictureParts.refusal(source, "a WebP with uncompressed transparency");
    }
    exif = exif.orElse(xmp);
    return new PictureParts(
        "webp",
        canvasWidth,
        canvasHeight,
        exif,
        PictureParts.texts(Map.of(), exif),
        still(lossless, width, height),
        Map.of(Trait.LEFT, left, Trait.TOP, top, Trait.BACKGROUND, 0xFFFFFF));
  }

  /** A file with nothing but the frame. */
  private List<ByteBuffer> still(boolean lossless, int width, int height) {
    List<ByteBuffer> chunks = new ArrayList<>();
    if (!lossless && alpha != null) {
      ByteBuffer canvas = ByteBuffer.allocate(HEADER + 10).order(ByteOrder.LITTLE_ENDIAN);
      canvas.putInt(0x58385056).putInt(10).putInt(ALPHA_FLAG); // VP8X
      canvas.put((byte) (width - 1)).putShort((short) (width - 1 >> 8));
      canvas.put((byte) (height - 1)).putShort((short) (height - 1 >> 8));
      chunks.add(canvas.flip());
      chunks.add(padded(alpha));
    }
    chunks.add(padded(image));
    int length = 4 + chunks.stream().mapToInt(ByteBuffer::remaining).sum();
    ByteBuffer start = ByteBuffer.allocate(12).order(ByteOrder.LITTLE_ENDIAN);
    chunks.add(0, start.putInt(0x46464952).putInt(length).putInt(0x50424557).flip()); // RIFF, WEBP
    return chunks;
  }

  private static ByteBuffer padded(ByteBuffer chunk) {
    if ((chunk.remaining() & 1) == 0) {
      return chunk;
    }
    ByteBuffer even = ByteBuffer.allocate(chunk.remaining() + 1);
    return even.put(chunk.duplicate()).rewind();
  }

  private static int int24(ByteBuffer data, int at) {
    return data.getShort(at) & 0xFFFF | (data.get(at + 2) & 255) << 16;
  }
}
