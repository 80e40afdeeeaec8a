package dev.longalign.preference;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.longalign.LongAlignException;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ImagePreprocessingTest {
  private static final ImagePreprocessing PLAIN =
      new ImagePreprocessing(3, List.of(0f, 0f, 0f), List.of(1f, 1f, 1f));

  /**
   * torch 2.13, float64: {@code interpolate(x, size, mode="bilinear", antialias=True)} of x[i] =
   * (37 i mod 101) / 101; the first, the middle and the last number.
   */
  @ParameterizedTest
  @CsvSource({
    "504, 224, 0.303536068, 0.486633663, 0.592362093",
    "7, 3, 0.314002829, 0.393127548, 0.526874116",
    "5, 5, 0.0, 0.732673267, 0.465346535",
    "3, 7, 0.0, 0.366336634, 0.732673267",
    "100, 33, 0.334025239, 0.575907591, 0.558533404",
    "2, 1, 0.183168317, 0.183168317, 0.183168317",
    "63, 64, 0.0, 0.536741955, 0.712871287",
    "95, 16, 0.412099873, 0.512588903, 0.512905394"
  })
  void resamplingIsTorchs(int in, int out, float first, float middle, float last) {
    float[] x = new float[in];
    for (int i = 0; i < in; i++) {
      x[i] = i * 37 % 101 / 101f;
    }
    float[] y = new float[out];
    Resampling.of(in, out).apply(x, y, 1, 1);
    assertThat(y[0]).isCloseTo(first, within(1e-6f));
    assertThat(y[out / 2]).isCloseTo(middle, within(1e-6f));
    assertThat(y[out - 1]).isCloseTo(last, within(1e-6f));
  }

  /** {@code <A x, y> = <x, A^T y>} for the linear part A. */
  @ParameterizedTest
  @CsvSource({"9, 11, 0, 1, 9", "9, 11, 2, 4, 7", "5, 4, 1, 0, 2", "3, 3, 0, 0, 3"})
  void theGradientIsTheTranspose(int height, int width, int top, int left, int side) {
    Random random = new Random(7);
    ImagePreprocessing clip = ImagePreprocessing.clip(4);
    Crop crop = new Crop(top, left, side);
    float[] x = gaussians(2 * height * width * 3, random);
    float[] y = gaussians(2 * 3 * 16, random);
    float[] zero =
        clip.prepare(new PictureBatch(new float[x.length], 2, height, width), crop).values();
    float[] ax = clip.prepare(new PictureBatch(x, 2, height, width), crop).values();
    PictureBatch aty = clip.gradient(new PixelValues(y, 2, 4), height, width, crop);
    double left1 = 0;
    for (int i = 0; i < ax.length; i++) {
      left1 += (double) (ax[i] - zero[i]) * y[i];
    }
    double right = 0;
    for (int i = 0; i < x.length; i++) {
      right += (double) x[i] * aty.values()[i];
      int row = i / 3 / width % height;
      int column = i / 3 % width;
      if (row < top || row >= top + side || column < left || column >= left + side) {
        assertThat(aty.values()[i]).isZero();
      }
    }
    assertThat(left1).isCloseTo(right, within(1e-4 * Math.max(1, Math.abs(right))));
  }

  private static float[] gaussians(int count, Random random) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  @Test
  void channelsAreNormalisedOnTheirOwn() {
    ImagePreprocessing two =
        new ImagePreprocessing(1, List.of(0.5f, 0f, 1f), List.of(0.5f, 2f, 1f));
    PictureBatch one = new PictureBatch(new float[] {1, 1, 1}, 1, 1, 1);
    assertThat(two.prepare(one).values()).containsExactly(1f, 0.5f, 0f);
  }

  @ParameterizedTest
  @CsvSource({
    "512, 512, 224, 504",
    "1024, 1024, 224, 1008",
    "96, 96, 96, 96",
    "640, 512, 224, 504",
    "97, 97, 96, 96",
    "80, 90, 96, 80",
    "225, 225, 224, 224"
  })
  void theCropIsTheReferencesInProportion(int height, int width, int size, int side) {
    assertThat(Crop.side(height, width, size)).isEqualTo(side);
    Crop centre = Crop.centre(height, width, size);
    assertThat(centre.top()).isEqualTo((height - side) / 2);
    assertThat(centre.left()).isEqualTo((width - side) / 2);
  }

  @Test
  void randomCropsReachEveryPlace() {
    Random random = new Random(1);
    boolean[] tops = new boolean[9];
    for (int i = 0; i < 300; i++) {
      Crop crop = Crop.random(512, 512, 224, random);
      tops[crop.top()] = true;
      assertThat(crop.left() + crop.side()).isLessThanOrEqualTo(512);
    }
    assertThat(tops).containsOnly(true);
  }

  @Test
  void refusals() {
    PictureBatch small = new PictureBatch(new float[12], 1, 2, 2);
    assertThatThrownBy(() -> PLAIN.prepare(small, new Crop(0, 1, 2)))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("2 x 2 pixels");
    assertThatThrownBy(
            () -> PLAIN.gradient(new PixelValues(new float[3], 1, 1), 2, 2, new Crop(0, 0, 2)))
        .hasMessageContaining("expected pictures of 3 pixels, found 1");
    assertThatThrownBy(() -> new Crop(-1, 0, 2)).isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> new PictureBatch(new float[5], 1, 1, 1))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> new ImagePreprocessing(1, List.of(0f, 0f, 0f), List.of(1f, 0f, 1f)))
        .hasMessageContaining("positive numbers");
  }
}
