package dev.longalign.data.panels;

import dev.longalign.data.SplitMix64;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * Makes scenes and describes them: one sentence per object from six templates, one of three for the
 * background, shuffled. Random choices come from the stream that is given, so a stream gives the
 * same scenes and captions forever.
 */
public final class SceneWriter {
  /** size, colour, shape, position. */
  private static final List<String> OBJECT_TEMPLATES =
      List.of(
          "A %1$s %2$s %3$s sits in the %4$s of the picture, drawn with a clean outline.",
          "There is a %1$s %2$s %3$s in the %4$s.",
          "In the %4$s of the image we can see a %1$s %2$s %3$s.",
          "The %4$s cell holds a %1$s %2$s %3$s with crisp, even edges.",
          "Looking at the %4$s, you will notice a %1$s %2$s %3$s painted in one solid flat colour.",
          "A %1$s %2$s %3$s is placed in the %4$s.");

  private static final List<String> BACKGROUND_TEMPLATES =
      List.of(
          "The background is %s.",
          "Everything is set against a plain %s background.",
          "Behind the shapes there is an even, uniform %s backdrop.");

  /** Which templates a caption prefers. */
  public enum Style {
    /** The long ones. */
    WORDY,

    /** The short ones. */
    TERSE;

    private int template(SplitMix64 random) {
      return this == WORDY
          ? random.nextWeighted(3, 1, 2, 2, 3, 1)
          : random.nextWeighted(1, 3, 2, 2, 1, 3);
    }
  }

  private SceneWriter() {}

  /**
   * A scene of any of the objects in as many different cells.
   *
   * @param objects 0 to 9
   */
  public static Scene scene(SplitMix64 random, int objects) {
    if (objects < 0 || objects > PanelsWorld.CELLS) {
      throw new IllegalArgumentException(
          "a scene has 0 to " + PanelsWorld.CELLS + " objects, asked for " + objects);
    }
    List<Integer> order = new ArrayList<>();
    for (int cell = 0; cell < PanelsWorld.CELLS; cell++) {
      order.add(cell);
    }
    random.shuffle(order);
    List<Optional<PanelObject>> cells = new ArrayList<>(PanelsWorld.noObjects());
    for (int cell : order.subList(0, objects)) {
      cells.set(cell, Optional.of(PanelObject.ofCode(random.nextInt(PanelObject.COUNT))));
    }
    return new Scene(random.nextInt(PanelsWorld.BACKGROUNDS.size()), cells);
  }

  /** A caption that says everything of the scene, in random order and words. */
  public static String caption(SplitMix64 random, Scene scene, Style style) {
    List<String> sentences = new ArrayList<>();
    for (int cell = 0; cell < PanelsWorld.CELLS; cell++) {
      Optional<PanelObject> object = scene.cells().get(cell);
      if (object.isPresent()) {
        sentences.add(objectSentences(cell, object.get()).get(style.template(random)));
      }
    }
    int background = random.nextInt(BACKGROUND_TEMPLATES.size());
    sentences.add(backgroundSentences(scene.background()).get(background));
    random.shuffle(sentences);
    return String.join(" ", sentences);
  }

  /** The six sentences that say what a cell shows, in the order of the templates. */
  public static List<String> objectSentences(int cell, PanelObject object) {
    return OBJECT_TEMPLATES.stream()
        .map(
            template ->
                String.format(
                    Locale.ROOT,
                    template,
                    PanelsWorld.SIZES.get(object.size()),
                    PanelsWorld.COLORS.get(object.color()),
                    PanelsWorld.SHAPES.get(object.shape()),
                    PanelsWorld.POSITIONS.get(cell)))
        .toList();
  }

  /** The three sentences that name the background. */
  public static List<String> backgroundSentences(int background) {
    String words = PanelsWorld.BACKGROUNDS.get(background);
    return BACKGROUND_TEMPLATES.stream()
        .map(template -> String.format(Locale.ROOT, template, words))
        .toList();
  }

  /** All sentences that are true of a scene. */
  public static List<String> trueSentences(Scene scene) {
    List<String> sentences = new ArrayList<>(backgroundSentences(scene.background()));
    for (int cell = 0; cell < PanelsWorld.CELLS; cell++) {
      int at = cell;
      scene.cells().get(cell).ifPresent(object -> sentences.addAll(objectSentences(at, object)));
    }
    return Collections.unmodifiableList(sentences);
  }
}
