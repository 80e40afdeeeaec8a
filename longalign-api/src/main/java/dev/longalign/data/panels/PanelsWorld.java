package dev.longalign.data.panels;

import dev.longalign.data.RgbPicture;
import java.util.Collections;
import java.util.List;
import java.util.Optional;

/**
 * The constants of the panels world and its renderer: pictures of 96 x 96 pixels in nine cells of
 * 32, each empty or with one of 6 shapes in one of 8 colours and 2 sizes, on one of 4 backgrounds.
 * Edges are smooth: coverage of a pixel is counted at 8 x 8 points.
 */
public final class PanelsWorld {
  public static final int CELLS = 9;

  /** Side of a cell, in pixels. */
  public static final int CELL = 32;

  /** Side of a picture, in pixels. */
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

  /** The tile code of a cell without object. */
  static final int EMPTY = PanelObject.COUNT;

  private static final int POINTS = 8;
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

  /** [background][code][(y * 32 + x) * 3 + channel], 0 to 255. */
  private static final int[][][] TILES = tiles();

  private PanelsWorld() {}

  /** Nine empty cells. */
  static List<Optional<PanelObject>> noObjects() {
    return Collections.nCopies(CELLS, Optional.empty());
  }

  /** One cell's pixels, {@code [(y * 32 + x) * 3 + channel]}; not to be changed. */
  static int[] tile(int background, int code) {
    return TILES[background][code];
  }

  /** The Euclidean distance of a colour to the nearest that the world paints with, in levels. */
  static double distanceToPalette(int r, int g, int b) {
    int smallest = Integer.MAX_VALUE;
    for (int[][] colors : List.of(RGB, BACKGROUND_RGB)) {
      for (int[] color : colors) {
        int dr = r - color[0];
        int dg = g - color[1];
        int db = b - color[2];
        smallest = Math.min(smallest, dr * dr + dg * dg + db * db);
      }
    }
    return Math.sqrt(smallest);
  }

  /** Draws a scene. */
  public static RgbPicture render(Scene scene) {
    byte[] picture = new byte[SIDE * SIDE * 3];
    for (int cell = 0; cell < CELLS; cell++) {
      int code = scene.cells().get(cell).map(PanelObject::code).orElse(EMPTY);
      int[] tile = tile(scene.background(), code);
      for (int y = 0; y < CELL; y++) {
        int row = ((cell / 3 * CELL + y) * SIDE + cell % 3 * CELL) * 3;
        for (int i = 0; i < CELL * 3; i++) {
          picture[row + i] = (byte) tile[y * CELL * 3 + i];
        }
      }
    }
    return RgbPicture.of(SIDE, SIDE, picture);
  }

  private static int[][][] tiles() {
    int[][][] tiles = new int[BACKGROUNDS.size()][EMPTY + 1][];
    double[] nothing = new double[CELL * CELL];
    for (int background = 0; background < tiles.length; background++) {
      tiles[background][EMPTY] = paint(BACKGROUND_RGB[background], RGB[0], nothing);
    }
    for (int shape = 0; shape < SHAPES.size(); shape++) {
      for (int size = 0; size < SIZES.size(); size++) {
        double[] coverage = coverage(SHAPES.get(shape), RADIUS[size]);
        for (int color = 0; color < COLORS.size(); color++) {
          int code = new PanelObject(size, color, shape).code();
          for (int background = 0; background < tiles.length; background++) {
            tiles[background][code] = paint(BACKGROUND_RGB[background], RGB[color], coverage);
          }
        }
      }
    }
    return tiles;
  }

  private static int[] paint(int[] background, int[] color, double[] coverage) {
    int[] tile = new int[coverage.length * 3];
    for (int i = 0; i < tile.length; i++) {
      double covered = coverage[i / 3];
      tile[i] = (int) Math.floor(background[i % 3] * (1 - covered) + color[i % 3] * covered + 0.5);
    }
    return tile;
  }

  /** How much of each pixel lies inside. */
  private static double[] coverage(String shape, double radius) {
    double[] coverage = new double[CELL * CELL];
    int points = CELL * POINTS;
    for (int i = 0; i < points; i++) {
      for (int j = 0; j < points; j++) {
        double x = (j + 0.5) / POINTS - CELL / 2;
        double y = (i + 0.5) / POINTS - CELL / 2;
        if (inside(shape, radius, x, y)) {
          coverage[i / POINTS * CELL + j / POINTS] += 1.0 / (POINTS * POINTS);
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
