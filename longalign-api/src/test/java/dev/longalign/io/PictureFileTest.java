package dev.longalign.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.longalign.LongAlignException;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PictureFileTest {
  @TempDir Path directory;

  private static BufferedImage picture(int type) {
    BufferedImage image = new BufferedImage(31, 17, type);
    Random random = new Random(5);
    for (int y = 0; y < 17; y++) {
      for (int x = 0; x < 31; x++) {
        image.setRGB(x, y, 0xff000000 | random.nextInt(1 << 24));
      }
    }
    return image;
  }

  private static int[] pixels(BufferedImage image) {
    return image.getRGB(0, 0, image.getWidth(), image.getHeight(), null, 0, image.getWidth());
  }

  @Test
  void pixelsAndTextsComeBack() {
    Map<String, String> texts = new LinkedHashMap<>();
    texts.put("parameters", "A café,\nthree lines;\nSteps: 25, Seed: 42");
    texts.put("longalign", "{\"prompt\": \"猫 🐈 \\u0000\", \"seed\": 42}");
    texts.put("empty", "");
    texts.put("A long key word", "x".repeat(100_000) + "中");
    for (int type :
        new int[] {
          BufferedImage.TYPE_INT_RGB, BufferedImage.TYPE_3BYTE_BGR, BufferedImage.TYPE_INT_ARGB
        }) {
      Path path = directory.resolve(type + ".png");
      PictureFile.writePng(path, picture(type), texts);
      assertThat(PictureFile.texts(path)).containsExactlyInAnyOrderEntriesOf(texts);
      BufferedImage read = PictureFile.readRgb(path);
      assertThat(read.getType()).isEqualTo(BufferedImage.TYPE_INT_RGB);
      assertThat(pixels(read)).isEqualTo(pixels(picture(type)));
    }
  }

  /** Latin-1 goes into tEXt, which every reader knows; the rest into iTXt, as UTF-8. */
  @Test
  void choosesTheChunkByTheText() {
    Path path = directory.resolve("a.png");
    PictureFile.writePng(
        path, picture(BufferedImage.TYPE_INT_RGB), Map.of("latin", "é", "other", "中"));
    String bytes = new String(IoFixtures.read(path), StandardCharsets.ISO_8859_1);
    assertThat(bytes).contains("tEXtlatin\0é");
    assertThat(bytes)
        .contains(
            "iTXtother\0\0\0\0\0"
                + new String("中".getBytes(StandardCharsets.UTF_8), StandardCharsets.ISO_8859_1));
  }

  @Test
  void readsJpegAndLaysTransparencyOverWhite() throws IOException {
    Path jpeg = directory.resolve("a.jpg");
    ImageIO.write(picture(BufferedImage.TYPE_INT_RGB), "jpg", jpeg.toFile());
    assertThat(PictureFile.readRgb(jpeg).getWidth()).isEqualTo(31);
    assertThat(PictureFile.texts(jpeg)).isEmpty();
    assertThat(PictureFile.toRgb(new BufferedImage(1, 1, BufferedImage.TYPE_INT_ARGB)).getRGB(0, 0))
        .isEqualTo(-1);
  }

  @Test
  void refusesWhatIsNoPicture() {
    Path text = IoFixtures.write(directory.resolve("a.png"), "no picture");
    assertThatThrownBy(() -> PictureFile.readRgb(text))
        .isExactlyInstanceOf(LongAlignException.class)
        .hasMessageContaining("expected a picture");
    assertThatThrownBy(() -> PictureFile.readRgb(directory.resolve("b.png")))
        .hasMessageContaining("no such file");
    assertThatThrownBy(() -> PictureFile.readRgb(directory)).hasMessageContaining("is no file");
  }

  @Test
  void damagedPicturesAreRefusedWithAMessage() {
    Path path = directory.resolve("a.png");
    PictureFile.writePng(path, picture(BufferedImage.TYPE_INT_RGB), Map.of("parameters", "中"));
    byte[] original = IoFixtures.read(path);
    Random random = new Random(6);
    for (int i = 0; i < 300; i++) {
      byte[] bytes =
          Arrays.copyOf(original, original.length - random.nextInt(3) * random.nextInt(40));
      bytes[8 + random.nextInt(100)] ^= 1 << random.nextInt(6);
      Path damaged = IoFixtures.write(directory.resolve("damaged.png"), bytes);
      try {
        assertThat(PictureFile.texts(damaged)).hasSizeLessThan(3);
      } catch (LongAlignException expected) {
        assertThat(expected.getMessage()).contains("damaged.png");
      }
    }
  }

  @Test
  void failuresLeaveNoFile() {
    BufferedImage image = picture(BufferedImage.TYPE_INT_RGB);
    assertThatThrownBy(
            () -> PictureFile.writePng(directory.resolve("a.png"), image, Map.of("", "x")))
        .isExactlyInstanceOf(LongAlignException.class)
        .hasMessageContaining("79 printable");
    assertThatThrownBy(
            () -> PictureFile.writePng(directory.resolve("a.png"), image, Map.of("a", "x\0y")))
        .hasMessageContaining("NUL");
    assertThatThrownBy(() -> PictureFile.writePng(directory.resolve("no/a.png"), image, Map.of()))
        .isExactlyInstanceOf(LongAlignException.class)
        .hasMessageContaining("does not exist");
    assertThat(IoFixtures.list(directory)).isEmpty();
  }

  @Test
  void aFullDiskIsNamed() {
    Path full = Path.of("/dev/full");
    assumeTrue(Files.exists(full), "/dev/full");
    assertThatThrownBy(
            () -> PictureFile.writePng(full, picture(BufferedImage.TYPE_INT_RGB), Map.of()))
        .isExactlyInstanceOf(LongAlignException.class)
        .hasMessageContaining("the disk is full");
  }

  @Test
  void parametersFollowTheUsualSyntax() {
    Map<String, String> settings = new LinkedHashMap<>();
    settings.put("Steps", "25");
    settings.put("Sampler", "UniPC");
    settings.put("CFG scale", "7.5");
    settings.put("Seed", "42");
    settings.put("Size", "512x512");
    settings.put("Lora", "a.pt: 1, \"b\": 2");
    GenerationParameters parameters =
        new GenerationParameters("A cat. Steps: many,\nsecond line.", "blurry,\nlow", settings);
    String text =
        "A cat. Steps: many,\nsecond line.\nNegative prompt: blurry,\nlow\n"
            + "Steps: 25, Sampler: UniPC, CFG scale: 7.5, Seed: 42, Size: 512x512, Lora: \"a.pt: 1, \\\"b\\\": 2\"";
    assertThat(parameters.format()).isEqualTo(text);
    assertThat(GenerationParameters.parse(text)).isEqualTo(parameters);
    assertThat(GenerationParameters.parse("only a prompt, with: colons"))
        .isEqualTo(new GenerationParameters("only a prompt, with: colons", "", Map.of()));
    assertThat(GenerationParameters.parse("").prompt()).isEmpty();
  }
}
