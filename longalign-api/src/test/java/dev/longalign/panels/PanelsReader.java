package dev.longalign.panels;

import java.awt.image.BufferedImage;
import java.util.ArrayList;
import java.util.List;

/**
 * Says what a picture of the panels world shows: in every cell the tile with the smallest squared
 * distance, under the background for which the nine distances together are smallest.
 */
public final class PanelsReader {
  private PanelsReader() {}

  public static Scene read(BufferedImage picture) {
    int[] pixels =
        picture.getRGB(0, 0, PanelsWorld.SIDE, PanelsWorld.SIDE, null, 0, PanelsWorld.SIDE);
    int[] rgb = new int[pixels.length * 3];
    for (int i = 0; i < pixels.length; i++) {
      rgb[3 * i] = pixels[i] >> 16 & 255;
      rgb[3 * i + 1] = pixels[i] >> 8 & 255;
      rgb[3 * i + 2] = pixels[i] & 255;
    }
    return read(rgb);
  }

  /**
   * @param rgb {@code [(y * 96 + x) * 3 + channel]}, 0 to 255
   */
  public static Scene read(int[] rgb) {
    Scene best = null;
    long smallest = Long.MAX_VALUE;
    for (int background = 0; background < PanelsWorld.BACKGROUNDS.size(); background++) {
      List<Integer> cells = new ArrayList<>();
      long total = 0;
      for (int cell = 0; cell < PanelsWorld.CELLS; cell++) {
        int nearest = -1;
        long distance = Long.MAX_VALUE;
        for (int code = 0; code <= PanelsWorld.EMPTY; code++) {
          long d = distance(rgb, cell, PanelsWorld.tile(background, code));
          if (d < distance) {
            distance = d;
            nearest = code;
          }
        }
        cells.add(nearest);
        total += distance;
      }
      if (total < smallest) {
        smallest = total;
        best = new Scene(background, cells);
      }
    }
    return best;
  }

  private static long distance(int[] rgb, int cell, int[] tile) {
    long sum = 0;
    int side = PanelsWorld.CELL;
    for (int y = 0; y < side; y++) {
      int row = ((cell / 3 * side + y) * PanelsWorld.SIDE + cell % 3 * side) * 3;
      for (int i = 0; i < side * 3; i++) {
        int d = rgb[row + i] - tile[y * side * 3 + i];
        sum += d * d;
      }
    }
    return sum;
  }
}
