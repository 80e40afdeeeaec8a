package dev.longalign.io;

import static org.assertj.core.api.Assertions.assertThat;

import dev.longalign.tensor.Shape;
import java.awt.image.BufferedImage;
import java.net.URISyntaxException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/**
 * Against what Pillow reads and resizes; the files are made by src/test/oracle/picture_modes.py.
 */
class PictureModesTest {
  private static final TensorFile VECTORS = SafetensorsFile.open(resource());

  private static Path resource() {
    try {
      return Path.of(PictureModesTest.class.getResource("picture_modes.safetensors").toURI());
    } catch (URISyntaxException e) {
      throw new IllegalStateException(e);
    }
  }

  /** One of the files. */
  static byte[] file(String name) {
    return bytes("file:" + name);
  }

  private static byte[] bytes(String name) {
    ByteBuffer data = VECTORS.tensor(name).data();
    byte[] bytes = new byte[data.remaining()];
    data.get(bytes);
    return bytes;
  }

  private static List<String> names(String prefix) {
    return VECTORS.names().stream()
        .filter(name -> name.startsWith(prefix))
        .map(name -> name.substring(prefix.length()))
        .toList();
  }

  /**
   * Exact, but for WebP with loss, whose colours are not interpolated here: these pictures have
   * steep colours, which gives a difference of 2 on average and up to 21.
   */
  @Test
  void everyModeIsReadAsPillowReadsIt() {
    List<String> wrong = new ArrayList<>();
    for (String name : names("file:")) {
      byte[] expected = bytes("rgb:" + name);
      int allowed = name.startsWith("lossy") ? 24 : 0;
      try {
        BufferedImage image = PictureFile.readRgb(name, bytes("file:" + name));
        Shape shape = VECTORS.tensor("rgb:" + name).shape();
        if (image.getWidth() != shape.dim(1) || image.getHeight() != shape.dim(0)) {
          wrong.add(name + ": " + image.getWidth() + " x " + image.getHeight() + ", not " + shape);
          continue;
        }
        int largest = largestDifference(image, expected);
        if (largest > allowed) {
          wrong.add(name + ": differs by up to " + largest);
        }
      } catch (RuntimeException refused) {
        wrong.add(refused.toString());
      }
    }
    assertThat(wrong).isEmpty();
    assertThat(names("file:")).hasSizeGreaterThan(120);
  }

  private static int largestDifference(BufferedImage image, byte[] expected) {
    int largest = 0;
    int width = image.getWidth();
    for (int i = 0; i < expected.length; i++) {
      int pixel = image.getRGB(i / 3 % width, i / 3 / width);
      int value = pixel >> 16 - 8 * (i % 3) & 255;
      largest = Math.max(largest, Math.abs(value - (expected[i] & 255)));
    }
    return largest;
  }

  @Test
  void resizesToTheBytesOfPillow() {
    byte[] picture = bytes("rgb:resize");
    int width = VECTORS.tensor("rgb:resize").shape().intDim(1);
    int height = VECTORS.tensor("rgb:resize").shape().intDim(0);
    for (String name : names("resize:")) {
      String[] parts = name.split(":");
      ResampleFilter filter = ResampleFilter.valueOf(parts[0]);
      int toWidth = Integer.parseInt(parts[1]);
      int toHeight = Integer.parseInt(parts[2]);
      byte[] expected = bytes("resize:" + name);
      assertThat(PictureResize.resize(picture, width, height, toWidth, toHeight, filter))
          .as(name)
          .isEqualTo(expected);
      if (toWidth > 4 && toHeight > 4) {
        var target = new PictureResize.Target(toWidth, toHeight, 2, 1, toWidth - 3, toHeight - 4);
        byte[] part = PictureResize.resize(picture, width, height, target, filter);
        assertThat(part).as(name + ", a part").isEqualTo(part(expected, toWidth, target));
      }
    }
    assertThat(names("resize:")).hasSize(30);
  }

  private static byte[] part(byte[] whole, int width, PictureResize.Target target) {
    byte[] part = new byte[target.width() * target.height() * 3];
    for (int y = 0; y < target.height(); y++) {
      int from = ((int) (target.top() + y) * width + (int) target.left()) * 3;
      System.arraycopy(whole, from, part, y * target.width() * 3, target.width() * 3);
    }
    return part;
  }
}
