package dev.longalign.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.model.AutoencoderKL;
import dev.longalign.model.TiledAutoencoder;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Device;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.OutOfMemoryException;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.awt.image.BufferedImage;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * When pictures go through the autoencoder in tiles; the tiny model's tile has 16 latents a side.
 */
class PictureDecoderTest {
  private static Backend backend;
  private static AutoencoderKL vae;

  private final List<String> told = new ArrayList<>();

  @BeforeAll
  static void open() {
    backend = Device.cpu().open(1);
    ModelFiles files =
        ModelFiles.find(
            Golden.folder().resolve("models/tiny-longsd"), null, null, List.of(), false);
    vae = files.loadVae(backend, DType.F32);
  }

  @AfterAll
  static void close() {
    vae.close();
    assertThat(backend.memory().live()).as("bytes that no scope freed").isZero();
    backend.close();
  }

  @AfterEach
  void unlimited() {
    backend.limitMemory(0);
  }

  @Test
  void wholeWhileMemoryAllows() {
    try (TensorScope scope = TensorScope.open()) {
      Tensor latents = latents(35, 17);
      PictureDecoder decoder = decoder(VaeTiling.AUTO);
      BufferedImage whole = Pictures.fromTensor(vae.decodeScaled(latents)).get(0);
      assertThat(pixels(decoder.decode(latents).get(0))).isEqualTo(pixels(whole));
      assertThat(decoder.tiled()).isFalse();
      assertThat(told).isEmpty();
    }
  }

  /** Known before anything is computed, and found out on the way. */
  @Test
  void tilesWhereItDoesNotSuffice() {
    try (TensorScope scope = TensorScope.open()) {
      Tensor latents = latents(53, 32);
      BufferedImage tiles =
          Pictures.fromTensor(new TiledAutoencoder(vae).decodeScaled(latents)).get(0);
      long least = vae.leastBytes(53, 32);
      for (long free : new long[] {least - 4096, least + 4096}) {
        told.clear();
        backend.limitMemory(backend.memory().live() + free);
        PictureDecoder decoder = decoder(VaeTiling.AUTO);
        Tensor two = Tensor.concat(0, latents, latents);
        for (BufferedImage image : decoder.decode(two)) {
          assertThat(pixels(image)).isEqualTo(pixels(tiles));
        }
        assertThat(decoder.tiled()).isTrue();
        assertThat(told).singleElement().asString().contains("256 x 424", "tiles", "MB are free");
      }
    }
  }

  @Test
  void asAskedFor() {
    try (TensorScope scope = TensorScope.open()) {
      PictureDecoder always = decoder(VaeTiling.ALWAYS);
      always.decode(latents(16, 16));
      assertThat(always.tiled()).as("a picture of one tile").isFalse();
      always.decode(latents(16, 17));
      assertThat(always.tiled()).isTrue();
      assertThat(told).singleElement().asString().contains("136 x 128", "as asked for");

      Tensor latents = latents(20, 20);
      backend.limitMemory(backend.memory().live() + vae.leastBytes(20, 20) / 2);
      assertThatThrownBy(() -> decoder(VaeTiling.NEVER).decode(latents))
          .isInstanceOf(OutOfMemoryException.class)
          .hasMessageContaining("out of memory");
    }
  }

  /** One picture, a draw from its distribution for each of several generators' noise. */
  @Test
  void drawsLatentsOfOnePicture() {
    try (TensorScope scope = TensorScope.open()) {
      Tensor picture = picture(24, 16);
      Tensor noise = latents(3, 2).reshape(1, 3, 2, 4);
      Tensor both = Tensor.concat(0, noise.scale(0), noise);
      float[] drawn = decoder(VaeTiling.AUTO).encode(picture, both).toFloats();
      float[] mean = vae.scale(vae.encode(picture).mean()).toFloats();
      float[] one = vae.scale(vae.encode(picture).sample(noise)).toFloats();
      assertThat(Arrays.copyOf(drawn, mean.length)).isEqualTo(mean);
      assertThat(Arrays.copyOfRange(drawn, mean.length, drawn.length)).isEqualTo(one);
      assertThat(one).isNotEqualTo(mean);
    }
  }

  private PictureDecoder decoder(VaeTiling tiling) {
    return new PictureDecoder(vae, tiling, told::add);
  }

  private static Tensor latents(int height, int width) {
    return Tensor.of(backend, Shape.of(1, height, width, 4), random(height * width * 4));
  }

  private static Tensor picture(int height, int width) {
    return Tensor.of(backend, Shape.of(1, height, width, 3), random(height * width * 3));
  }

  private static float[] random(int size) {
    Random random = new Random(size);
    float[] values = new float[size];
    for (int i = 0; i < size; i++) {
      values[i] = (float) Math.max(-1, Math.min(1, random.nextGaussian() / 2));
    }
    return values;
  }

  private static int[] pixels(BufferedImage image) {
    return image.getRGB(0, 0, image.getWidth(), image.getHeight(), null, 0, image.getWidth());
  }
}
