package dev.longalign.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.gson.JsonObject;
import dev.longalign.LongAlignException;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.ReferenceBackend;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import dev.longalign.tensor.Tolerance;
import java.util.List;
import org.junit.jupiter.api.Test;

final class PicturePreprocessingTest {
  private static final Golden GOLDEN = Golden.open("image/image");

  /** Bytes may not differ at all; pixels by one rounding of f32. */
  @Test
  void doesWhatTheReferenceDoes() {
    int cases = 0;
    for (String key : GOLDEN.values().keySet()) {
      JsonObject values = GOLDEN.values().getAsJsonObject(key);
      String number = key.substring("case_".length());
      PicturePreprocessing preprocessing =
          new PicturePreprocessing(values.get("resolution").getAsInt());
      RgbPicture input = picture("image_" + number);
      check("resized_" + number, preprocessing.resize(input));
      RgbPicture cropped = preprocessing.apply(input);
      check("cropped_" + number, cropped);
      Shape chw = GOLDEN.shape("pixels_" + number);
      Shape nchw = Shape.of(1, chw.dim(0), chw.dim(1), chw.dim(2));
      new Tolerance(1e-7, 1)
          .check(
              "pixels_" + number,
              Golden.nhwc(nchw),
              Golden.toNhwc(nchw, GOLDEN.floats("pixels_" + number)),
              cropped.toFloats());
      cases++;
    }
    assertThat(cases).isPositive();
  }

  private static RgbPicture picture(String name) {
    Shape shape = GOLDEN.shape(name);
    long[] values = GOLDEN.longs(name);
    byte[] bytes = new byte[values.length];
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = (byte) values[i];
    }
    return RgbPicture.of(shape.intDim(1), shape.intDim(0), bytes);
  }

  private static void check(String name, RgbPicture actual) {
    RgbPicture expected = picture(name);
    assertThat(actual.toString()).as(name).isEqualTo(expected.toString());
    byte[] want = expected.bytes();
    byte[] have = actual.bytes();
    for (int i = 0; i < want.length; i++) {
      assertThat(have[i] & 255).as("%s byte %s", name, i).isEqualTo(want[i] & 255);
    }
  }

  @Test
  void aNeedleIsRefusedByName() {
    RgbPicture needle = RgbPicture.of(1, 60_000, new byte[180_000]);
    assertThatThrownBy(
            () -> new PicturePreprocessing(512).apply(new TrainingExample("n.png", "x", needle)))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("n.png: a picture of 1 x 60000 pixels would have");
    assertThat(new PicturePreprocessing(1).apply(needle).toString()).isEqualTo("1 x 1");
  }

  @Test
  void aTrackingPixelIsRefusedByName() {
    RgbPicture pixel = RgbPicture.of(1, 1, new byte[3]);
    assertThatThrownBy(
            () -> new PicturePreprocessing(512).apply(new TrainingExample("p.gif", "x", pixel)))
        .isInstanceOf(LongAlignException.class)
        .hasMessage(
            "p.gif: a picture of 1 x 1 pixels, too small for 512; expected a short side of at least"
                + " 32");
    RgbPicture icon = RgbPicture.of(32, 32, new byte[3 * 32 * 32]);
    assertThat(new PicturePreprocessing(512).apply(icon).toString()).isEqualTo("512 x 512");
  }

  @Test
  void batchesBecomeTensors() {
    RgbPicture black = RgbPicture.of(2, 1, new byte[6]);
    RgbPicture other = RgbPicture.of(2, 1, new byte[] {-1, 0, 0, 0, -1, 127});
    try (ReferenceBackend backend = new ReferenceBackend();
        TensorScope scope = TensorScope.open()) {
      Tensor batch =
          TrainingExample.pictures(
              backend,
              List.of(new TrainingExample("a", "", black), new TrainingExample("b", "", other)));
      assertThat(batch.shape()).isEqualTo(Shape.of(2, 1, 2, 3));
      assertThat(batch.toFloats())
          .containsExactly(-1, -1, -1, -1, -1, -1, 1, -1, -1, -1, 1, 127 / 255f * 2 - 1);
      RgbPicture larger = RgbPicture.of(1, 2, new byte[6]);
      assertThatThrownBy(() -> RgbPicture.toTensor(backend, List.of(black, larger)))
          .hasMessageContaining("found 2 x 1 and 1 x 2");
    }
  }
}
