package dev.longalign.data.panels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.longalign.data.RgbPicture;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;

final class PictureQualityTest {
  private static final int SIDE = PanelsWorld.SIDE;
  private static final List<Scene> SCENES =
      HeldOut.longCaptions().subList(0, 8).stream().map(CaptionedScene::scene).toList();
  private static final List<RgbPicture> RENDERS = SCENES.stream().map(PanelsWorld::render).toList();

  @Test
  void rendersAreTheReference() {
    PictureQuality quality = PictureQuality.of(RENDERS, SCENES);
    assertThat(quality.edgeDistance()).isZero();
    assertThat(quality.saturationDrift()).isZero();
    assertThat(quality.contrastDrift()).isZero();
    assertThat(quality.colorDistance()).isEqualTo(quality.colorDistanceOfRenders());
    // Only the pixels on an edge have mixed colours.
    assertThat(quality.colorDistance()).isBetween(0.5, 8.0);
  }

  /** Plain colours, by hand: every pixel is 10 levels of green off the white background. */
  @Test
  void plainPicturesHaveTheDistancesOfTheirColours() {
    Scene white = new Scene(0, Collections.nCopies(9, Optional.empty()));
    byte[] bytes = new byte[SIDE * SIDE * 3];
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = (byte) (i % 3 == 1 ? 245 : 255);
    }
    PictureQuality quality =
        PictureQuality.of(List.of(RgbPicture.of(SIDE, SIDE, bytes)), List.of(white));
    assertThat(quality.colorDistance()).isCloseTo(10, within(1e-9));
    assertThat(quality.colorDistanceOfRenders()).isZero();
    assertThat(quality.saturationDrift()).isCloseTo(10, within(1e-9));
    assertThat(quality.edgeDistance()).isZero();
    assertThat(quality.contrastDrift()).isCloseTo(0, within(1e-6));
  }

  /** A black and a white half: 95 of 95 x 95 gradients are 255, those of the render are 0. */
  @Test
  void anEdgeThatShouldNotBeThereIsTheDistance() {
    Scene white = new Scene(0, Collections.nCopies(9, Optional.empty()));
    byte[] bytes = new byte[SIDE * SIDE * 3];
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = (byte) (i / 3 % SIDE < SIDE / 2 ? 255 : 0);
    }
    PictureQuality quality =
        PictureQuality.of(List.of(RgbPicture.of(SIDE, SIDE, bytes)), List.of(white));
    assertThat(quality.edgeDistance()).isCloseTo(255.0 / 95, within(1e-5));
    assertThat(quality.contrastDrift()).isCloseTo(127.5, within(1e-6));
    // The nearest colour to black is the world's black (20, 20, 20).
    assertThat(quality.colorDistance()).isCloseTo(20 * Math.sqrt(3) / 2, within(1e-9));
  }

  @Test
  void blurTakesEdgesAndContrast() {
    PictureQuality quality = PictureQuality.of(changed(PictureQualityTest::blurred), SCENES);
    PictureQuality twice =
        PictureQuality.of(changed(picture -> blurred(blurred(blurred(picture)))), SCENES);
    assertThat(quality.edgeDistance()).isGreaterThan(1);
    assertThat(twice.edgeDistance()).isGreaterThan(quality.edgeDistance());
    assertThat(quality.contrastDrift()).isNegative();
    assertThat(quality.colorDistance()).isGreaterThan(quality.colorDistanceOfRenders() + 1);
  }

  @Test
  void oversaturationShowsInTheColours() {
    PictureQuality quality = PictureQuality.of(changed(PictureQualityTest::saturated), SCENES);
    assertThat(quality.saturationDrift()).isGreaterThan(5);
    assertThat(quality.colorDistance()).isGreaterThan(quality.colorDistanceOfRenders() + 5);
    PictureQuality blur = PictureQuality.of(changed(PictureQualityTest::blurred), SCENES);
    assertThat(Math.abs(blur.saturationDrift())).isLessThan(1);
  }

  @Test
  void otherSizesAndCountsAreRefused() {
    assertThatThrownBy(() -> PictureQuality.of(RENDERS, SCENES.subList(0, 2)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("8 pictures and 2 scenes");
    assertThatThrownBy(() -> PictureQuality.of(List.of(), List.of()))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(
            () ->
                PictureQuality.of(List.of(RgbPicture.of(2, 2, new byte[12])), SCENES.subList(0, 1)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("2 x 2");
  }

  private static List<RgbPicture> changed(UnaryOperator<RgbPicture> change) {
    return RENDERS.stream().map(change).toList();
  }

  /** The mean of 3 x 3 pixels. */
  private static RgbPicture blurred(RgbPicture picture) {
    byte[] bytes = new byte[SIDE * SIDE * 3];
    for (int y = 0; y < SIDE; y++) {
      for (int x = 0; x < SIDE; x++) {
        for (int c = 0; c < 3; c++) {
          int sum = 0;
          for (int i = 0; i < 9; i++) {
            int fromX = Math.min(SIDE - 1, Math.max(0, x + i % 3 - 1));
            int fromY = Math.min(SIDE - 1, Math.max(0, y + i / 3 - 1));
            sum += picture.value(fromX, fromY, c);
          }
          bytes[(y * SIDE + x) * 3 + c] = (byte) Math.round(sum / 9f);
        }
      }
    }
    return RgbPicture.of(SIDE, SIDE, bytes);
  }

  /** Channels half as far again from their mean. */
  private static RgbPicture saturated(RgbPicture picture) {
    byte[] bytes = picture.bytes();
    for (int i = 0; i < bytes.length; i += 3) {
      float mean = 0;
      for (int c = 0; c < 3; c++) {
        mean += (bytes[i + c] & 255) / 3f;
      }
      for (int c = 0; c < 3; c++) {
        float value = mean + 1.5f * ((bytes[i + c] & 255) - mean);
        bytes[i + c] = (byte) Math.round(Math.max(0, Math.min(255, value)));
      }
    }
    return RgbPicture.of(SIDE, SIDE, bytes);
  }
}
