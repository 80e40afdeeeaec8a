package dev.longalign.data.panels;

import dev.longalign.data.RgbPicture;
import dev.longalign.tensor.Tensor;
import java.awt.image.BufferedImage;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Says what a picture of the panels world shows: in every cell the tile with the smallest squared
 * distance, under the background for which the nine distances together are smallest.
 */
public final class PanelsReader {
  private PanelsReader() {}

  /**
   * Reads pictures as a model makes them.
   *
   * @param pictures [B, 96, 96, 3]; values outside of [-1, 1] are clamped
   */
  public static List<Scene> read(Tensor pictures) {
    int side = PanelsWorld.SIDE;
    if (pictures.shape().rank() != 4
        || pictures.dim(1) != side
        || pictures.dim(2) != side
        || pictures.dim(3) != 3) {
      throw refusal(pictures.shape().toString());
    }
    float[] values = pictures.toFloats();
    float[] picture = new float[side * side * 3];
    List<Scene> scenes = new ArrayList<>();
    for (int b = 0; b < pictures.dim(0); b++) {
      for (int i = 0; i < picture.length; i++) {
        float value = values[b * picture.length + i];
        picture[i] = (Math.max(-1, Math.min(1, value)) + 1) * 127.5f;
      }
      scenes.add(readLevels(picture));
    }
    return scenes;
  }

  /** Reads a picture of 96 x 96 pixels. */
  public static Scene read(RgbPicture picture) {
    byte[] bytes = sized(picture).bytes();
    float[] levels = new float[bytes.length];
    for (int i = 0; i < levels.length; i++) {
      levels[i] = bytes[i] & 255;
    }
    return readLevels(levels);
  }

  /** Reads a picture of 96 x 96 pixels. */
  public static Scene read(BufferedImage picture) {
    return read(RgbPicture.of(picture));
  }

  /** The picture, if it has this world's size. */
  static RgbPicture sized(RgbPicture picture) {
    if (picture.width() != PanelsWorld.SIDE || picture.height() != PanelsWorld.SIDE) {
      throw refusal(picture.toString());
    }
    return picture;
  }

  private static IllegalArgumentException refusal(String found) {
    return new IllegalArgumentException(
        "the panels world's pictures have "
            + PanelsWorld.SIDE
            + " x "
            + PanelsWorld.SIDE
            + " pixels, found "
            + found);
  }

  /** Levels 0 to 255, {@code [(y * 96 + x) * 3 + channel]}. */
  private static Scene readLevels(float[] levels) {
    Scene best = null;
    double smallest = Double.POSITIVE_INFINITY;
    for (int background = 0; background < PanelsWorld.BACKGROUNDS.size(); background++) {
      List<Optional<PanelObject>> cells = new ArrayList<>();
      double total = 0;
      for (int cell = 0; cell < PanelsWorld.CELLS; cell++) {
        int nearest = PanelsWorld.EMPTY;
        double distance = Double.POSITIVE_INFINITY;
        for (int code = 0; code <= PanelsWorld.EMPTY; code++) {
          double d = distance(levels, cell, PanelsWorld.tile(background, code), distance);
          if (d < distance) {
            distance = d;
            nearest = code;
          }
        }
        cells.add(
            nearest == PanelsWorld.EMPTY
                ? Optional.empty()
                : Optional.of(PanelObject.ofCode(nearest)));
        total += distance;
      }
      if (best == null || total < smallest) {
        smallest = total;
        best = new Scene(background, cells);
      }
    }
    return best;
  }

  /** The squared distance, or something not below the limit once that is reached. */
  private static double distance(float[] levels, int cell, int[] tile, double limit) {
    double sum = 0;
    int side = PanelsWorld.CELL;
    for (int y = 0; y < side && sum < limit; y++) {
      int row = ((cell / 3 * side + y) * PanelsWorld.SIDE + cell % 3 * side) * 3;
      float rowSum = 0;
      for (int i = 0; i < side * 3; i++) {
        float d = levels[row + i] - tile[y * side * 3 + i];
        rowSum += d * d;
      }
      sum += rowSum;
    }
    return sum;
  }
}
