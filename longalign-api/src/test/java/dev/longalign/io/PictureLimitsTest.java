package dev.longalign.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import dev.longalign.data.Fixtures;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import java.util.zip.CRC32;
import java.util.zip.Deflater;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Pictures that would exhaust memory or time, and the settings in EXIF. */
class PictureLimitsTest {
  private static final String TEXT =
      "Ein Prompt: 猫\nSteps: 4, Sampler: Euler a, Seed: 7, Size: 8x8";

  @TempDir Path directory;

  private static void refused(byte[] file, String message) {
    Assertions.assertTimeout(
        Duration.ofSeconds(5),
        () ->
            assertThatThrownBy(() -> PictureFile.readRgb("a/b", file))
                .isExactlyInstanceOf(LongAlignException.class)
                .hasMessageStartingWith("a/b: ")
                .hasMessageContaining(message));
  }

  private static byte[] bytes(ByteBuffer buffer) {
    return Arrays.copyOf(buffer.array(), buffer.position());
  }

  private static ByteBuffer little(int size) {
    return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
  }

  private static byte[] png(int width, int height, byte[]... chunks) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.writeBytes(new byte[] {(byte) 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'});
    ByteBuffer header = ByteBuffer.allocate(13).putInt(width).putInt(height);
    out.writeBytes(chunk("IHDR", header.put(new byte[] {1, 0, 0, 0, 0}).array()));
    for (byte[] chunk : chunks) {
      out.writeBytes(chunk);
    }
    out.writeBytes(
        chunk("IDAT", deflated(new byte[Math.min(2000, Math.abs(width)) * Math.min(64, height)])));
    out.writeBytes(chunk("IEND", new byte[0]));
    return out.toByteArray();
  }

  private static byte[] chunk(String type, byte[] data) {
    byte[] body = new byte[4 + data.length];
    System.arraycopy(type.getBytes(StandardCharsets.US_ASCII), 0, body, 0, 4);
    System.arraycopy(data, 0, body, 4, data.length);
    CRC32 crc = new CRC32();
    crc.update(body);
    return ByteBuffer.allocate(data.length + 12)
        .putInt(data.length)
        .put(body)
        .putInt((int) crc.getValue())
        .array();
  }

  private static byte[] deflated(byte[] plain) {
    Deflater deflater = new Deflater();
    deflater.setInput(plain);
    deflater.finish();
    byte[] packed = new byte[plain.length / 500 + 100];
    int length = deflater.deflate(packed);
    deflater.end();
    return Arrays.copyOf(packed, length);
  }

  @Test
  void pixelsAreCountedBeforeTheyAreDecoded() {
    refused(png(20_000, 20_000), "20000 x 20000 pixels; at most 89478485 are decoded");
    refused(png(Integer.MAX_VALUE, 1), "at most 89478485");
    refused(png(-1, 5), "without pixels");
    refused(png(9_000, 9_000), "which holds no such picture");
    byte[] gif =
        bytes(
            little(40)
                .put("GIF89a".getBytes(StandardCharsets.US_ASCII))
                .putShort((short) 9000)
                .putShort((short) 9000)
                .put(new byte[3])
                .put((byte) 0x2c)
                .putInt(0)
                .putShort((short) 9000)
                .putShort((short) 9000)
                .put(new byte[9]));
    refused(gif, "9000 x 9000 pixels in a file of 31 bytes");
    byte[] bmp =
        bytes(
            little(54)
                .put((byte) 'B')
                .put((byte) 'M')
                .putInt(54)
                .putInt(0)
                .putInt(54)
                .putInt(40)
                .putInt(2000)
                .putInt(2000)
                .putShort((short) 1)
                .putShort((short) 24)
                .put(new byte[24]));
    refused(bmp, "ends early");
    byte[] jpeg = Fixtures.bytes("baseline.jpg");
    int frame = find(jpeg, 0xC0);
    jpeg[frame + 3] = 0x23;
    jpeg[frame + 5] = 0x23;
    refused(jpeg, "no such picture");
  }

  private static int find(byte[] jpeg, int marker) {
    for (int i = 2; ; i += 2 + ((jpeg[i + 2] & 255) << 8 | jpeg[i + 3] & 255)) {
      if ((jpeg[i + 1] & 255) == marker) {
        return i + 2;
      }
    }
  }

  /** A reader that goes on behind the end would take minutes here. */
  @Test
  void webpIsOnlyReadAsFarAsItGoes() {
    byte[] webp = Fixtures.bytes("lossless.webp");
    ByteBuffer buffer = ByteBuffer.wrap(webp).order(ByteOrder.LITTLE_ENDIAN);
    buffer.putInt(21, buffer.getInt(21) & 0xF0000000 | 2047 | 2047 << 14);
    refused(webp, "");
    byte[] canvas = Fixtures.bytes("lossless.webp");
    byte[] extended =
        bytes(
            little(canvas.length + 18)
                .put(canvas, 0, 4)
                .putInt(canvas.length + 10)
                .put(canvas, 8, 4)
                .putInt(0x58385056)
                .putInt(10)
                .putInt(0)
                .put(new byte[] {0x27, 0x23, 0, 0x27, 0x23, 0})
                .put(canvas, 12, canvas.length - 12));
    refused(extended, "its frame has 40 x 28 pixels, the picture 9000 x 9000");
  }

  @Test
  void textsAreCountedWhileTheyAreUnpacked() {
    ByteArrayOutputStream text = new ByteArrayOutputStream();
    text.writeBytes(new byte[] {'a', 0, 0});
    text.writeBytes(deflated(new byte[64 << 20]));
    byte[] bomb = png(8, 8, chunk("zTXt", text.toByteArray()));
    assertThat(bomb).hasSizeLessThan(100_000);
    refused(bomb, "more than 16777216 bytes of text");
    Path file = IoFixtures.write(directory.resolve("b.png"), bomb);
    assertThatThrownBy(() -> PictureFile.info(file)).hasMessageContaining("bytes of text");
  }

  @Test
  void sizeIsReadWithoutPixels() {
    byte[] whole = Fixtures.bytes("plain.png");
    Arrays.fill(whole, 60, whole.length - 20, (byte) 0); // not the chunks' own lengths
    ByteBuffer.wrap(whole).putInt(33, whole.length - 33 - 12 - 12);
    byte[] name = "IDAT".getBytes(StandardCharsets.US_ASCII);
    System.arraycopy(name, 0, whole, 37, 4);
    Path file = IoFixtures.write(directory.resolve("a.png"), whole);
    assertThat(PictureFile.info(file)).isEqualTo(new PictureFile.Info(40, 28, Map.of()));
    assertThatThrownBy(() -> PictureFile.readRgb(file)).isInstanceOf(LongAlignException.class);
  }

  @Test
  void whatIsNotReadIsNamed() {
    refused(new byte[0], "found an empty file");
    refused("....ftypheic....".getBytes(StandardCharsets.US_ASCII), "HEIF, AVIF or a video");
    refused("version https://git-lfs".getBytes(StandardCharsets.US_ASCII), "git lfs pull");
    byte[] jpeg = Fixtures.bytes("baseline.jpg");
    jpeg[find(jpeg, 0xC0) - 1] = (byte) 0xC9;
    refused(jpeg, "arithmetic coding, which is not supported; save the picture as a usual PNG");
  }

  /** Whatever is in a file, the answer is a picture or a refusal. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "rgb16i.png",
        "palette4-trns.png",
        "cmyk.jpg",
        "s2p.jpg",
        "animated.gif",
        "rle8.bmp",
        "565.bmp",
        "RGB-tiff_lzw.tif",
        "group4.tif",
        "P-raw.tif",
        "lossy-alpha.webp",
        "animated.webp",
        "o6.jpg",
        "raw6.png",
        "xmp8.webp"
      })
  void changedBytesNeverDoWorse(String name) {
    byte[] original = PictureModesTest.file(name);
    Random random = new Random(name.hashCode());
    for (int i = 0; i < 60; i++) {
      byte[] changed =
          Arrays.copyOf(original, original.length - random.nextInt(3) * random.nextInt(20));
      for (int n = 0; n < 1 + i % 4; n++) {
        changed[random.nextInt(changed.length)] = (byte) random.nextInt();
      }
      Assertions.assertTimeout(
          Duration.ofSeconds(5),
          () -> {
            try {
              assertThat(PictureFile.readRgb(name, changed).getWidth()).isPositive();
            } catch (LongAlignException refusal) {
              assertThat(refusal).hasMessageStartingWith(name);
            }
          });
    }
  }

  private static byte[] exif(ByteOrder order, String code, byte[] text) {
    byte[] value = Arrays.copyOf(code.getBytes(StandardCharsets.US_ASCII), 8 + text.length);
    System.arraycopy(text, 0, value, 8, text.length);
    ByteBuffer tiff = ByteBuffer.allocate(44 + value.length).order(order);
    tiff.putShort((short) (order == ByteOrder.BIG_ENDIAN ? 0x4D4D : 0x4949)).putShort((short) 42);
    tiff.putInt(8);
    tiff.putShort((short) 1).putShort((short) 0x8769).putShort((short) 4).putInt(1).putInt(26);
    tiff.putInt(0);
    tiff.putShort((short) 1).putShort((short) 0x9286).putShort((short) 7).putInt(value.length);
    tiff.putInt(44).putInt(0);
    return tiff.put(value).array();
  }

  private String parameters(byte[] file) {
    return PictureFile.texts(IoFixtures.write(directory.resolve("x"), file)).get("parameters");
  }

  private static byte[] jpeg(byte[] exif) {
    byte[] jpeg = Fixtures.bytes("baseline.jpg");
    ByteBuffer with = ByteBuffer.allocate(jpeg.length + exif.length + 10);
    with.putInt(0xFFD8FFE1).putShort((short) (exif.length + 8));
    with.put("Exif\0\0".getBytes(StandardCharsets.US_ASCII)).put(exif);
    return with.put(jpeg, 2, jpeg.length - 2).array();
  }

  @Test
  void settingsInExifAreRead() {
    for (ByteOrder order : new ByteOrder[] {ByteOrder.BIG_ENDIAN, ByteOrder.LITTLE_ENDIAN}) {
      byte[] big = TEXT.getBytes(StandardCharsets.UTF_16BE);
      assertThat(parameters(jpeg(exif(order, "UNICODE\0", big)))).isEqualTo(TEXT);
      byte[] little = TEXT.getBytes(StandardCharsets.UTF_16LE);
      assertThat(parameters(jpeg(exif(order, "UNICODE\0", little)))).isEqualTo(TEXT);
      byte[] marked = ("\uFEFF" + TEXT).getBytes(StandardCharsets.UTF_16LE);
      assertThat(parameters(jpeg(exif(order, "UNICODE\0", marked)))).isEqualTo(TEXT);
      byte[] utf8 = TEXT.getBytes(StandardCharsets.UTF_8);
      assertThat(parameters(jpeg(exif(order, "ASCII", utf8)))).isEqualTo(TEXT);
      assertThat(parameters(jpeg(exif(order, "", utf8)))).isEqualTo(TEXT);
      byte[] bare = Arrays.copyOfRange(utf8, 8, utf8.length);
      assertThat(parameters(jpeg(exif(order, "Ein Prom", bare)))).isEqualTo(TEXT);
      byte[] latin = "Größe".getBytes(StandardCharsets.ISO_8859_1);
      assertThat(parameters(jpeg(exif(order, "ASCII", latin)))).isEqualTo("Größe");
    }
    byte[] exif = exif(ByteOrder.BIG_ENDIAN, "UNICODE\0", TEXT.getBytes(StandardCharsets.UTF_16BE));
    assertThat(parameters(png(8, 8, chunk("eXIf", exif)))).isEqualTo(TEXT);
    byte[] webp = Fixtures.bytes("lossless.webp");
    ByteBuffer with = little(webp.length + 8 + exif.length);
    with.put(webp).putInt(0x46495845).putInt(exif.length).put(exif);
    with.putInt(4, webp.length + exif.length);
    assertThat(parameters(with.array())).isEqualTo(TEXT);
  }

  @Test
  void chunksOfPngComeFirst() {
    byte[] own = "parameters\0own".getBytes(StandardCharsets.US_ASCII);
    byte[] exif = exif(ByteOrder.BIG_ENDIAN, "ASCII", "other".getBytes(StandardCharsets.US_ASCII));
    assertThat(parameters(png(8, 8, chunk("tEXt", own), chunk("eXIf", exif)))).isEqualTo("own");
    assertThat(PictureFile.isPicture(directory.resolve("x"))).isTrue();
    assertThat(PictureFile.isPicture(directory)).isFalse();
    BufferedImage image = PictureFile.readRgb(directory.resolve("x"));
    assertThat(image.getHeight()).isEqualTo(8);
  }
}
