package dev.longalign.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import java.awt.image.BufferedImage;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class RgbPictureTest {
  @ParameterizedTest
  @ValueSource(
      strings = {
        "baseline.jpg",
        "subsampled.jpg",
        "progressive.jpg",
        "grey.jpg",
        "lossless.webp",
        "plain.png",
        "grey.png",
        "palette.png",
        "rgba.png"
      })
  void decodesToTheBytesOfPillow(String name) {
    assertThat(meanDifference(name)).isZero();
  }

  /** This decoder repeats colour samples where libwebp interpolates. */
  @Test
  void decodesLossyWebp() {
    assertThat(meanDifference("lossy.webp")).isLessThan(2);
  }

  private static double meanDifference(String name) {
    byte[] expected = RgbPicture.read(name, Fixtures.bytes(name + ".expected.png")).bytes();
    byte[] actual = RgbPicture.read(name, Fixtures.bytes(name)).bytes();
    assertThat(actual).hasSameSizeAs(expected);
    double sum = 0;
    for (int i = 0; i < expected.length; i++) {
      sum += Math.abs((expected[i] & 255) - (actual[i] & 255));
    }
    return sum / expected.length;
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"baseline.jpg", "progressive.jpg", "lossy.webp", "lossless.webp", "plain.png"})
  void cutFilesAreRefusedByName(String name) {
    byte[] whole = Fixtures.bytes(name);
    int last = name.endsWith(".png") ? whole.length - 30 : whole.length - 1; // the last row is in
    for (int length = 0; length < last; length += Math.max(1, whole.length / 40)) {
      byte[] cut = Arrays.copyOf(whole, length);
      assertThatThrownBy(() -> RgbPicture.read("x/" + name, cut))
          .as("%s of %s bytes", length, whole.length)
          .isInstanceOf(LongAlignException.class)
          .hasMessageStartingWith("x/" + name);
    }
  }

  /** Whatever is in a file behind its header, the answer is a picture or a refusal. */
  @ParameterizedTest
  @ValueSource(
      strings = {"baseline.jpg", "progressive.jpg", "lossy.webp", "lossless.webp", "palette.png"})
  void changedBytesNeverDoWorse(String name) {
    Random random = new Random(3);
    for (int i = 0; i < 60; i++) {
      byte[] changed = Fixtures.bytes(name);
      for (int n = 0; n < 4; n++) {
        changed[30 + random.nextInt(changed.length - 30)] = (byte) random.nextInt();
      }
      try {
        assertThat(RgbPicture.read(name, changed).width()).isPositive();
      } catch (LongAlignException refusal) {
        assertThat(refusal).hasMessageStartingWith(name);
      }
    }
  }

  @Test
  void enormousPicturesAreNotDecoded() {
    byte[] bomb = Fixtures.bytes("plain.png");
    bomb[16] = 0x01; // the header's width, so wide that it cannot be decoded
    assertThatThrownBy(() -> RgbPicture.read("bomb.png", bomb))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("bomb.png");
  }

  @Test
  void greyOfSixteenBitsKeepsItsLevels() {
    BufferedImage image = new BufferedImage(2, 1, BufferedImage.TYPE_USHORT_GRAY);
    image.getRaster().setSample(0, 0, 0, 0x8012);
    image.getRaster().setSample(1, 0, 0, 0xffff);
    assertThat(RgbPicture.of(image).bytes())
        .containsExactly((byte) 128, (byte) 128, (byte) 128, (byte) 255, (byte) 255, (byte) 255);
    BufferedImage premultiplied = new BufferedImage(1, 1, BufferedImage.TYPE_INT_ARGB_PRE);
    premultiplied.setRGB(0, 0, 0);
    assertThat(RgbPicture.of(premultiplied).bytes())
        .containsExactly((byte) 255, (byte) 255, (byte) 255);
  }
}
