package dev.longalign.preference;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.longalign.LongAlignException;
import dev.longalign.io.SafetensorsWriter;
import dev.longalign.io.StoredTensor;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Device;
import dev.longalign.tensor.PreferenceGradient;
import dev.longalign.tensor.ReweightedTexts;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CommonDirectionTest {
  @TempDir Path temp;

  private static Features random(int count, int width, long seed) {
    Random random = new Random(seed);
    float[] values = new float[count * width];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian() + 0.5f;
    }
    return new Features(values, count, width).normalised();
  }

  @Test
  void oneStreamInPartsIsTheBatch() {
    Features texts = random(50, 8, 1);
    CommonDirection whole = CommonDirection.of(texts);
    CommonDirection.Accumulator first = new CommonDirection.Accumulator();
    CommonDirection.Accumulator second = new CommonDirection.Accumulator();
    for (int i = 0; i < 50; i++) {
      (i < 20 ? first : second).add(texts.row(i));
    }
    CommonDirection parts = new CommonDirection.Accumulator().add(first).add(second).direction();
    assertThat(parts.captions()).isEqualTo(50);
    assertThat(parts.vector()).usingComparatorWithPrecision(1e-6f).containsExactly(whole.vector());
  }

  @Test
  void thePartsSumToTheScoreAndAreOrthogonal() {
    Features texts = random(10, 6, 2);
    CommonDirection common = CommonDirection.of(texts);
    float[] text = texts.mean();
    float[] image = random(1, 6, 3).row(0);
    assertThat(Vectors.dot(common.relevant(text), common.vector())).isCloseTo(0, within(1e-7));
    double whole = CosineScore.of(text, image);
    double irrelevant = common.eta(text) * CosineScore.of(common.vector(), image);
    for (double omega : new double[] {0, 0.3, 1}) {
      assertThat(CosineScore.of(common.reweighted(text, omega), image))
          .isCloseTo(whole - (1 - omega) * irrelevant, within(1e-6));
    }
    assertThat(common.reweighted(text, 1)).containsExactly(text);
  }

  @Test
  void theScoresGradientIsItsSlopeAndOrthogonalToThePicture() {
    float[] text = random(1, 5, 4).row(0);
    float[] image = {0.3f, -2, 1.5f, 0.1f, 0.7f};
    float[] gradient = CosineScore.imageGradient(text, image);
    assertThat(Vectors.dot(gradient, image)).isCloseTo(0, within(1e-6));
    for (int i = 0; i < image.length; i++) {
      float[] up = image.clone();
      float[] down = image.clone();
      up[i] += 1e-2f;
      down[i] -= 1e-2f;
      double slope = (CosineScore.of(text, up) - CosineScore.of(text, down)) / (up[i] - down[i]);
      assertThat((double) gradient[i]).isCloseTo(slope, within(1e-5));
    }
  }

  /** What training computes on a backend is what is computed here, in f64. */
  @Test
  void aBackendComputesTheSame() {
    Features texts = random(12, 40, 7);
    Features images = random(12, 40, 8);
    CommonDirection common = CommonDirection.of(texts);
    try (Backend backend = Device.cpu().open(1);
        TensorScope scope = TensorScope.open()) {
      Tensor t = Tensor.of(backend, Shape.of(12, 40), texts.values());
      Tensor i = Tensor.of(backend, Shape.of(12, 40), images.values()).scale(3);
      ReweightedTexts reweighted = t.reweight(null, 0.3f);
      PreferenceGradient gradient = reweighted.texts().preferenceGradient(i);
      assertThat(reweighted.direction().toFloats())
          .usingComparatorWithPrecision(1e-6f)
          .containsExactly(common.vector());
      for (int row = 0; row < 12; row++) {
        float[] text = common.reweighted(texts.row(row), 0.3);
        float[] image = i.rows(row, row + 1).toFloats();
        assertThat(reweighted.eta().toFloats()[row])
            .isCloseTo((float) common.eta(texts.row(row)), within(1e-6f));
        assertThat(reweighted.texts().rows(row, row + 1).toFloats())
            .usingComparatorWithPrecision(1e-6f)
            .containsExactly(text);
        assertThat((double) gradient.scores().toFloats()[row])
            .isCloseTo(CosineScore.of(text, image), within(1e-6));
        assertThat(gradient.gradient().rows(row, row + 1).toFloats())
            .usingComparatorWithPrecision(1e-6f)
            .containsExactly(CosineScore.imageGradient(text, image));
      }
    }
  }

  @Test
  void isSavedAndLoaded() {
    CommonDirection common = CommonDirection.of(random(7, 5, 5));
    Path file = temp.resolve("common.safetensors");
    common.write(file);
    CommonDirection read = CommonDirection.read(file);
    assertThat(read.vector()).containsExactly(common.vector());
    assertThat(read.captions()).isEqualTo(7);
  }

  @Test
  void refusals() throws Exception {
    assertThatThrownBy(() -> new CommonDirection.Accumulator().direction())
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("at least one caption");
    assertThatThrownBy(() -> CommonDirection.of(new Features(new float[4], 1, 4)))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("of length 0");
    CommonDirection common = CommonDirection.of(random(3, 4, 6));
    assertThatThrownBy(() -> common.eta(new float[5])).hasMessageContaining("found 5 and 4");
    assertThatThrownBy(() -> CommonDirection.read(temp.resolve("no")))
        .isInstanceOf(LongAlignException.class);
    Path file = temp.resolve("long.safetensors");
    StoredTensor twice =
        StoredTensor.ofFloats("common_direction", DType.F32, Shape.of(2), new float[] {2, 0});
    SafetensorsWriter.write(file, List.of(twice));
    assertThatThrownBy(() -> CommonDirection.read(file))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("length 1, found [2] of length 2.0");
    assertThat(Files.exists(file)).isTrue();
  }

  @Test
  void statistics() {
    double[] values = {1, 2, 4, 5};
    EtaStatistics statistics = EtaStatistics.of(values);
    assertThat(statistics.mean()).isEqualTo(3);
    assertThat(statistics.standardDeviation()).isCloseTo(Math.sqrt(10 / 3.0), within(1e-12));
    assertThat(statistics.median()).isEqualTo(3);
    EtaStatistics.Histogram histogram = EtaStatistics.Histogram.of(values, 4);
    assertThat(histogram.counts()).containsExactly(1, 1, 0, 2);
    assertThat(histogram.edges()).containsExactly(1.0, 2.0, 3.0, 4.0, 5.0);
    assertThat(EtaStatistics.Histogram.of(new double[] {2, 2}, 3).counts())
        .containsExactly(2, 0, 0);
    EtaStatistics.Correlation correlation =
        EtaStatistics.Correlation.of(values, new double[] {10, 20, 40, 500});
    assertThat(correlation.spearman()).isCloseTo(1, within(1e-12));
    assertThat(correlation.pearson()).isBetween(0.5, 0.99);
    assertThatThrownBy(() -> EtaStatistics.of(new double[0]))
        .isInstanceOf(LongAlignException.class);
    assertThatThrownBy(() -> EtaStatistics.Correlation.of(values, new double[1]))
        .isInstanceOf(LongAlignException.class);
  }
}
