package dev.longalign.panels;

import java.util.ArrayList;
import java.util.List;

/**
 * The world that the embedded model was trained on: pictures of 96 x 96 pixels in nine cells of 32,
 * each empty or with one of 6 shapes in one of 8 colours and 2 sizes, on one of 4 backgrounds; and
 * the sentences that describe them.
 */
public final class PanelsWorld {
  public static final int CELLS = 9;
  public static final int CELL = 32;
  public static final int SIDE = 3 * CELL;
  public static final List<String> SHAPES =
      List.of("circle", "square", "triangle", "diamond", "cross", "ring");
  public static final List<String> COLORS =
      List.of("red", "green", "blue", "yellow", "purple", "orange", "black", "cyan");
  public static final List<String> SIZES = List.of("large", "small");
  public static final List<String> BACKGROUNDS =
      List.of("white", "pale yellow", "pale blue", "pale grey");
  public static final List<String> POSITIONS =
      List.of(
          "upper left",
          "upper center",
          "upper right",
          "middle left",
          "center",
          "middle right",
          "lower left",
          "lower center",
          "lower right");

  /** The code of a cell without object; objects are {@code shape * 16 + colour * 2 + size}. */
  public static final int EMPTY = 96;

  private static final int SUBPIXELS = 8;
  private static final double[] RADIUS = {13, 8};
  private static final int[][] RGB = {
    {220, 40, 40},
    {40, 160, 60},
    {45, 80, 220},
    {250, 210, 30},
    {140, 50, 170},
    {250, 130, 20},
    {20, 20, 20},
    {40, 200, 215}
  };
  private static final int[][] BACKGROUND_RGB = {
    {255, 255, 255}, {255, 247, 200}, {208, 228, 250}, {220, 220, 220}
  };

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

  /** [background][code][pixel * 3 + channel], 0 to 255. */
  private static final int[][][] TILES = tiles();

  private PanelsWorld() {}

  public static int code(int shape, int color, int size) {
    return shape * 16 + color * 2 + size;
  }

  static int shape(int code) {
    return code / 16;
  }

  static int color(int code) {
    return code / 2 % 8;
  }

  static int size(int code) {
    return code % 2;
  }

  /** One cell's pixels, {@code [(y * 32 + x) * 3 + channel]}; not to be changed. */
  static int[] tile(int background, int code) {
    return TILES[background][code];
  }

  /** The whole picture as RGB, {@code [(y * 96 + x) * 3 + channel]}. */
  public static int[] render(Scene scene) {
    int[] picture = new int[SIDE * SIDE * 3];
    for (int cell = 0; cell < CELLS; cell++) {
      int[] tile = tile(scene.background(), scene.cells().get(cell));
      for (int y = 0; y < CELL; y++) {
        int row = (cell / 3 * CELL + y) * SIDE + cell % 3 * CELL;
        System.arraycopy(tile, y * CELL * 3, picture, row * 3, CELL * 3);
      }
    }
    return picture;
  }

  /** Every sentence that may describe the object of one cell. */
  public static List<String> objectSentences(int cell, int code) {
    List<String> sentences = new ArrayList<>();
    for (String template : OBJECT_TEMPLATES) {
      sentences.add(
          String.format(
              template,
              SIZES.get(size(code)),
              COLORS.get(color(code)),
              SHAPES.get(shape(code)),
              POSITIONS.get(cell)));
    }
    return sentences;
  }

  /** Every sentence that may describe the background. */
  public static List<String> backgroundSentences(int background) {
    return BACKGROUND_TEMPLATES.stream()
        .map(template -> String.format(template, BACKGROUNDS.get(background)))
        .toList();
  }

  private static int[][][] tiles() {
    int[][][] tiles = new int[BACKGROUNDS.size()][EMPTY + 1][];
    for (int background = 0; background < tiles.length; background++) {
      tiles[background][EMPTY] =
          painted(BACKGROUND_RGB[background], RGB[0], new double[CELL * CELL]);
    }
    for (int shape = 0; shape < SHAPES.size(); shape++) {
      for (int size = 0; size < SIZES.size(); size++) {
        double[] coverage = coverage(SHAPES.get(shape), RADIUS[size]);
        for (int color = 0; color < RGB.length; color++) {
          for (int background = 0; background < tiles.length; background++) {
            tiles[background][code(shape, color, size)] =
                painted(BACKGROUND_RGB[background], RGB[color], coverage);
          }
        }
      }
    }
    return tiles;
  }

  private static int[] painted(int[] background, int[] color, double[] coverage) {
    int[] tile = new int[coverage.length * 3];
    for (int i = 0; i < tile.length; i++) {
      double covered = coverage[i / 3];
      tile[i] = (int) Math.floor(background[i % 3] * (1 - covered) + color[i % 3] * covered + 0.5);
    }
    return tile;
  }

  /** How much of each pixel lies inside, from 8 x 8 points per pixel. */
  private static double[] coverage(String shape, double radius) {
    double[] coverage = new double[CELL * CELL];
    int points = CELL * SUBPIXELS;
    for (int i = 0; i < points; i++) {
      for (int j = 0; j < points; j++) {
        double x = (j + 0.5) / SUBPIXELS - CELL / 2;
        double y = (i + 0.5) / SUBPIXELS - CELL / 2;
        if (inside(shape, radius, x, y)) {
          coverage[i / SUBPIXELS * CELL + j / SUBPIXELS] += 1.0 / (SUBPIXELS * SUBPIXELS);
        }
      }
    }
    return coverage;
  }

  /** The origin is the cell's centre; y grows downward. */
  private static boolean inside(String shape, double r, double x, double y) {
    double w = 0.34 * r;
    return switch (shape) {
      case "circle" -> x * x + y * y <= r * r;
      case "square" -> Math.abs(x) <= 0.86 * r && Math.abs(y) <= 0.86 * r;
      case "triangle" -> y <= 0.8 * r && Math.abs(x) <= 0.95 * r * (y + r) / (1.8 * r);
      case "diamond" -> Math.abs(x) + Math.abs(y) <= r;
      case "cross" -> Math.abs(x) <= w && Math.abs(y) <= r || Math.abs(y) <= w && Math.abs(x) <= r;
      case "ring" -> x * x + y * y <= r * r && x * x + y * y >= 0.55 * r * (0.55 * r);
      default -> throw new IllegalArgumentException(shape);
    };
  }
}
