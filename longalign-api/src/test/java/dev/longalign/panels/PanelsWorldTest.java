package dev.longalign.panels;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

final class PanelsWorldTest {
  private static final List<Scene.Captioned> LONG = Scene.heldOutLong();
  private static final List<Scene.Captioned> SHORT = Scene.heldOutShort();

  @Test
  void everyHeldOutSceneIsReadFromItsRendering() {
    assertThat(LONG).hasSize(64);
    assertThat(SHORT).hasSize(64);
    Stream.of(LONG, SHORT)
        .flatMap(List::stream)
        .map(Scene.Captioned::scene)
        .forEach(s -> assertThat(PanelsReader.read(PanelsWorld.render(s))).isEqualTo(s));
  }

  @Test
  void noiseDoesNotDisturbTheReader() {
    Random random = new Random(7);
    List<Scene> asked = LONG.stream().map(Scene.Captioned::scene).toList();
    List<Scene> found = new ArrayList<>();
    for (Scene scene : asked) {
      int[] noisy = PanelsWorld.render(scene);
      for (int i = 0; i < noisy.length; i++) {
        noisy[i] = (int) Math.min(255, Math.max(0, noisy[i] + 25 * random.nextGaussian()));
      }
      found.add(PanelsReader.read(noisy));
    }
    assertThat(Alignment.of(asked, found).accuracy()).isGreaterThan(0.99);
  }

  @Test
  void captionsAreMadeOfTheWorldsSentences() {
    for (List<Scene.Captioned> set : List.of(LONG, SHORT)) {
      for (Scene.Captioned captioned : set) {
        List<String> sentences = new ArrayList<>(List.of(captioned.caption().split("(?<=\\.) ")));
        Scene scene = captioned.scene();
        for (int cell = 0; cell < PanelsWorld.CELLS; cell++) {
          if (scene.cells().get(cell) != PanelsWorld.EMPTY) {
            assertThat(PanelsWorld.objectSentences(cell, scene.cells().get(cell)))
                .containsAnyElementsOf(sentences);
            sentences.removeAll(PanelsWorld.objectSentences(cell, scene.cells().get(cell)));
          }
        }
        assertThat(sentences).hasSize(1);
        assertThat(PanelsWorld.backgroundSentences(scene.background())).contains(sentences.get(0));
      }
    }
  }

  /** Facts of single pixels, so that the drawing is not only consistent with its own reader. */
  @Test
  void drawsWhatTheWordsSay() {
    Integer[] cells = new Integer[PanelsWorld.CELLS];
    Arrays.fill(cells, PanelsWorld.EMPTY);
    cells[5] = PanelsWorld.code(5, 7, 0); // a large cyan ring in the middle right
    int[] picture = PanelsWorld.render(new Scene(2, List.of(cells)));
    assertThat(pixel(picture, 80, 48)).as("the ring's hole").containsExactly(208, 228, 250);
    assertThat(pixel(picture, 80 + 10, 48)).as("the ring").containsExactly(40, 200, 215);
    assertThat(pixel(picture, 80 + 14, 48)).as("beside it").containsExactly(208, 228, 250);
    assertThat(pixel(picture, 16, 48)).as("another cell").containsExactly(208, 228, 250);
  }

  @Test
  void alignmentCountsShapeAndColourButNotSize() {
    Scene.Captioned first = LONG.get(0);
    List<Integer> cells = new ArrayList<>(first.scene().cells());
    int large = cells.get(0);
    cells.set(0, large ^ 1); // the other size
    Scene otherSize = new Scene(first.scene().background(), cells);
    cells.set(0, PanelsWorld.EMPTY);
    cells.set(1, (cells.get(1) + 2) % 96); // another colour
    Scene wrong = new Scene(first.scene().background(), cells);
    int objects = first.scene().objects();
    List<Scene> asked = List.of(first.scene());
    assertThat(Alignment.of(asked, List.of(otherSize))).isEqualTo(new Alignment(objects, objects));
    assertThat(Alignment.of(asked, List.of(wrong))).isEqualTo(new Alignment(objects, objects - 2));
  }

  private static int[] pixel(int[] picture, int x, int y) {
    int at = (y * PanelsWorld.SIDE + x) * 3;
    return Arrays.copyOfRange(picture, at, at + 3);
  }
}
