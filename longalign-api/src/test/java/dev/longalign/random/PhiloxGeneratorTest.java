package dev.longalign.random;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.ReferenceBackend;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.TensorScope;
import org.junit.jupiter.api.Test;

class PhiloxGeneratorTest {

  /**
   * The known answers that the authors publish with Random123 ({@code kat_vectors}, philox4x32 10).
   */
  @Test
  void knownAnswersOfPhilox() {
    assertThat(Philox.block(0, 0, 0, 0, 0, 0))
        .containsExactly(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8);
    assertThat(Philox.block(-1, -1, -1, -1, -1, -1))
        .containsExactly(0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd);
    assertThat(Philox.block(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0))
        .containsExactly(0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1);
  }

  /** What {@code torch.manual_seed(0); torch.randn(12, device="cuda")} prints on NVIDIA GPUs. */
  @Test
  void seedZeroAsTorchOnAGpu() {
    float[] expected = {
      -0.92466259f, -0.42534415f, -2.6438457f, 0.14518388f, -0.12086647f, -0.57972564f,
      -0.62285122f, -0.32838709f, -1.07454231f, -0.36314407f, -1.67105067f, 2.26550497f
    };
    float[] actual = new PhiloxGenerator(0).randn(12);
    for (int i = 0; i < expected.length; i++) {
      assertThat(actual[i]).as("element %d", i).isCloseTo(expected[i], within(2e-6f));
    }
  }

  /**
   * Above the grid's limit of T threads, element i + k T is the k-th number of thread i, then the
   * counter moves on.
   */
  @Test
  void largeDrawsFollowTheGrid() {
    PhiloxGenerator.GridLimit tiny = new PhiloxGenerator.GridLimit(2, 512); // 4 blocks, T = 1024
    int t = 1024;
    float[] large = new PhiloxGenerator(11, tiny).randn(4 * t + 300);
    PhiloxGenerator oneByOne = new PhiloxGenerator(11, tiny);
    float[] first = oneByOne.randn(t); // advances every thread's counter by one block
    float[] second = oneByOne.randn(300);
    for (int i = 0; i < t; i++) {
      assertThat(large[i]).isEqualTo(first[i]);
    }
    for (int i = 0; i < 300; i++) {
      assertThat(large[4 * t + i]).isEqualTo(second[i]);
    }
    double sum = 0;
    double squares = 0;
    for (float x : large) {
      sum += x;
      squares += x * x;
    }
    assertThat(sum / large.length).isCloseTo(0, within(0.05));
    assertThat(squares / large.length).isCloseTo(1, within(0.06));
    assertThat(new PhiloxGenerator(11, tiny).randn(5000)[t])
        .isNotEqualTo(new PhiloxGenerator(11).randn(5000)[t]);
  }

  @Test
  void seedsUseAll64BitsAndStatesContinue() {
    assertThat(new PhiloxGenerator(1L << 32).randn(4))
        .isNotEqualTo(new PhiloxGenerator(0).randn(4));
    PhiloxGenerator generator = new PhiloxGenerator(3);
    generator.randn(100);
    PhiloxGenerator copy = new PhiloxGenerator(0);
    copy.setState(generator.getState());
    assertThat(copy.randn(50)).isEqualTo(generator.randn(50));
    assertThatThrownBy(() -> copy.setState(new byte[5056]))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("16 bytes");
    assertThat(generator.randn(0)).isEmpty();
  }

  @Test
  void tensorsAreTransposedFromChannelsFirst() {
    try (TensorScope scope = TensorScope.open()) {
      Shape nhwc = Shape.of(2, 3, 2, 4);
      float[] nchw = new TorchGenerator(8).randn(48);
      float[] actual =
          RandomTensors.randn(new ReferenceBackend(), new TorchGenerator(8), nhwc).toFloats();
      for (int b = 0; b < 2; b++) {
        for (int c = 0; c < 4; c++) {
          for (int p = 0; p < 6; p++) {
            assertThat(actual[(b * 6 + p) * 4 + c]).isEqualTo(nchw[(b * 4 + c) * 6 + p]);
          }
        }
      }
      assertThatThrownBy(
              () -> RandomTensors.randn(new ReferenceBackend(), new TorchGenerator(8), Shape.of(4)))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("[4]");
    }
  }
}
