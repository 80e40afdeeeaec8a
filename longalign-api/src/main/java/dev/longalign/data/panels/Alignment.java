package dev.longalign.data.panels;

import java.util.List;
import java.util.Objects;
import java.util.Optional;

/**
 * How well pictures show what was asked for, each a fraction of 1.
 *
 * @param align objects whose shape and colour are right in the right cell: the alignment
 * @param full objects that are right in every respect
 * @param color objects whose colour is right
 * @param shape objects whose shape is right
 * @param size objects whose size is right
 * @param empty cells that should be and are empty; 0 if none should be
 * @param background pictures whose background is right
 * @param objects how many objects were asked for
 */
public record Alignment(
    double align,
    double full,
    double color,
    double shape,
    double size,
    double empty,
    double background,
    int objects) {

  /**
   * Compares what was asked for with what the {@link PanelsReader} found, one by one.
   *
   * @throws IllegalArgumentException if the lists are empty or of different lengths
   */
  public static Alignment of(List<Scene> asked, List<Scene> found) {
    if (asked.size() != found.size() || asked.isEmpty()) {
      throw new IllegalArgumentException(
          "expected as many scenes found as asked for, and some: "
              + found.size()
              + " and "
              + asked.size());
    }
    Tally tally = new Tally();
    for (int i = 0; i < asked.size(); i++) {
      tally.compare(asked.get(i), found.get(i));
    }
    return tally.result(asked.size());
  }

  private static final class Tally {
    private int objects;
    private int empties;
    private int align;
    private int full;
    private int color;
    private int shape;
    private int size;
    private int empty;
    private int background;

    void compare(Scene asked, Scene found) {
      background += asked.background() == found.background() ? 1 : 0;
      for (int cell = 0; cell < PanelsWorld.CELLS; cell++) {
        Optional<PanelObject> wanted = asked.cells().get(cell);
        Optional<PanelObject> seen = found.cells().get(cell);
        if (wanted.isEmpty()) {
          empties++;
          empty += seen.isEmpty() ? 1 : 0;
        } else {
          objects++;
          seen.ifPresent(object -> compare(wanted.get(), object));
        }
      }
    }

    private void compare(PanelObject wanted, PanelObject seen) {
      boolean sameShape = wanted.shape() == seen.shape();
      boolean sameColor = wanted.color() == seen.color();
      align += sameShape && sameColor ? 1 : 0;
      shape += sameShape ? 1 : 0;
      color += sameColor ? 1 : 0;
      size += wanted.size() == seen.size() ? 1 : 0;
      full += Objects.equals(wanted, seen) ? 1 : 0;
    }

    Alignment result(int pictures) {
      double perObject = Math.max(1, objects);
      return new Alignment(
          align / perObject,
          full / perObject,
          color / perObject,
          shape / perObject,
          size / perObject,
          empty / (double) Math.max(1, empties),
          background / (double) pictures,
          objects);
    }
  }
}
