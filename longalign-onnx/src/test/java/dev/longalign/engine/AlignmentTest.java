package dev.longalign.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.longalign.LongAlign;
import dev.longalign.Precision;
import dev.longalign.data.panels.Alignment;
import dev.longalign.data.panels.CaptionedScene;
import dev.longalign.data.panels.PanelsReader;
import dev.longalign.data.panels.Scene;
import dev.longalign.pipeline.Denoiser;
import dev.longalign.pipeline.PictureDecoder;
import dev.longalign.pipeline.TextEncoding;
import dev.longalign.random.RandomTensors;
import dev.longalign.random.TorchGenerator;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/**
 * Whether pictures show what a paragraph says: objects of the 64 long held-out captions whose shape
 * and colour are found in the right cell. With the same noise (guidance 3, UniPC, 25 steps) the
 * reference gets 454 of 454 with LongAlign, 352 with segments but without LoRA and adapter, and 226
 * with 77 tokens.
 */
final class AlignmentTest {
  private static final List<CaptionedScene> SCENES =
      CaptionedScene.read(Golden.miniFolder().resolve("heldout_long.json"));
  private static final List<Scene> ASKED = SCENES.stream().map(CaptionedScene::scene).toList();
  private static final int BATCH = 16;

  @Test
  void longAlignDrawsWhatLongCaptionsSay() {
    try (MiniModel model = new MiniModel(true)) {
      assertThat(accuracy(model, TextEncoding.LONGALIGN)).isGreaterThanOrEqualTo(0.98);
    }
  }

  @Test
  void withoutLongAlignMuchIsMissing() {
    try (MiniModel base = new MiniModel(false)) {
      double truncated = accuracy(base, TextEncoding.TRUNCATED);
      double segments = accuracy(base, TextEncoding.SEGMENTS);
      assertThat(truncated).isCloseTo(226.0 / 454, within(0.01));
      assertThat(segments).isCloseTo(352.0 / 454, within(0.01));
    }
  }

  /** The same through the front door, on a few captions, in both precisions. */
  @Test
  void theEngineDrawsWhatLongCaptionsSay() {
    List<CaptionedScene> few = SCENES.subList(0, 6);
    List<Scene> asked = ASKED.subList(0, 6);
    for (Precision precision : Precision.values()) {
      try (LongAlign longAlign = Engines.build(precision)) {
        List<Scene> found =
            few.stream()
                .map(scene -> PanelsReader.read(longAlign.sample(scene.caption()).image()))
                .toList();
        assertThat(Alignment.of(asked, found).align()).as(precision.toString()).isEqualTo(1);
      }
    }
  }

  /** One generator of seed 42 draws the noise of all pictures, as the reference's did. */
  private static double accuracy(MiniModel model, TextEncoding encoding) {
    List<Scene> found = new ArrayList<>();
    TorchGenerator noise = new TorchGenerator(42);
    for (int from = 0; from < SCENES.size(); from += BATCH) {
      List<String> captions =
          SCENES.subList(from, from + BATCH).stream().map(CaptionedScene::caption).toList();
      try (TensorScope scope = TensorScope.open()) {
        Tensor start = RandomTensors.randn(model.backend, noise, Shape.of(BATCH, 12, 12, 4));
        Tensor latents = model.sample(start, captions, encoding, Denoiser.Observer.NONE);
        new PictureDecoder(model.vae)
            .decode(latents).stream().map(PanelsReader::read).forEach(found::add);
      }
    }
    Alignment alignment = Alignment.of(ASKED, found);
    assertThat(alignment.objects()).isEqualTo(454);
    return alignment.align();
  }
}
