package dev.longalign.data.panels;

import dev.longalign.LongAlignException;
import java.util.List;
import java.util.Objects;

/**
 * What one cell shows.
 *
 * @param size 0 large, 1 small: an index into {@link PanelsWorld#SIZES}
 * @param color an index into {@link PanelsWorld#COLORS}
 * @param shape an index into {@link PanelsWorld#SHAPES}
 */
public record PanelObject(int size, int color, int shape) {
  /** How many different objects there are. */
  public static final int COUNT = 96;

  public PanelObject {
    Objects.checkIndex(size, PanelsWorld.SIZES.size());
    Objects.checkIndex(color, PanelsWorld.COLORS.size());
    Objects.checkIndex(shape, PanelsWorld.SHAPES.size());
  }

  /** By words: {@code of("large", "cyan", "ring")}. */
  public static PanelObject of(String size, String color, String shape) {
    return new PanelObject(
        index("size", PanelsWorld.SIZES, size),
        index("colour", PanelsWorld.COLORS, color),
        index("shape", PanelsWorld.SHAPES, shape));
  }

  /** The object of a code, 0 to 95. */
  public static PanelObject ofCode(int code) {
    Objects.checkIndex(code, COUNT);
    return new PanelObject(code % 2, code / 2 % 8, code / 16);
  }

  /** {@code shape * 16 + color * 2 + size}. */
  public int code() {
    return shape * 16 + color * 2 + size;
  }

  static int index(String what, List<String> words, String word) {
    int index = words.indexOf(word);
    if (index < 0) {
      throw new LongAlignException(
          "the panels world has no " + what + " '" + word + "', only " + words);
    }
    return index;
  }

  /** For example {@code large cyan ring}. */
  @Override
  public String toString() {
    return PanelsWorld.SIZES.get(size)
        + " "
        + PanelsWorld.COLORS.get(color)
        + " "
        + PanelsWorld.SHAPES.get(shape);
  }
}
